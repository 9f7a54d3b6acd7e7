/** What Kubernetes makes of the manifests in examples/kubernetes: the commands, environments and files of their containers. */
import { readdirSync, readFileSync } from "node:fs"
import { fileURLToPath } from "node:url"
import { parse, parseAllDocuments } from "yaml"

const folder = fileURLToPath(new URL("../../examples", import.meta.url))

/** The text of an example, by its path below `examples`. */
export const exampleText = (path: string): string => readFileSync(`${folder}/${path}`, "utf8")

/** The paths of the manifests. */
export const manifestPaths: ReadonlyArray<string> = readdirSync(`${folder}/kubernetes`)
  .filter((name) => name.endsWith(".yaml"))
  .map((name) => `${folder}/kubernetes/${name}`)

interface KeyOf {
  readonly name: string
  readonly key: string
}

interface Container {
  readonly image: string
  readonly args: ReadonlyArray<string>
  readonly envFrom?: ReadonlyArray<{ readonly secretRef: { readonly name: string } }>
  readonly env?: ReadonlyArray<{
    readonly name: string
    readonly value?: string
    readonly valueFrom?: { readonly configMapKeyRef: KeyOf }
  }>
  readonly securityContext: Readonly<Record<string, unknown>>
  readonly volumeMounts: ReadonlyArray<{ readonly name: string; readonly mountPath: string }>
}

export interface PodSpec {
  readonly containers: ReadonlyArray<Container>
  readonly securityContext: Readonly<Record<string, unknown>>
  readonly automountServiceAccountToken: boolean
  readonly volumes: ReadonlyArray<{
    readonly name: string
    readonly emptyDir?: object
    readonly configMap?: {
      readonly name: string
      readonly items: ReadonlyArray<{ readonly key: string; readonly path: string }>
    }
  }>
}

interface JobSpec {
  readonly completions?: number
  readonly completionMode?: string
  readonly template: { readonly spec: PodSpec }
}

interface Manifest {
  readonly kind: string
  readonly metadata: { readonly name: string }
  readonly data?: Readonly<Record<string, string>>
  readonly stringData?: Readonly<Record<string, string>>
  readonly spec?: JobSpec & { readonly jobTemplate?: { readonly spec: JobSpec }; readonly replicas?: number }
}

const manifests: ReadonlyArray<Manifest> = manifestPaths.flatMap((path) =>
  parseAllDocuments(readFileSync(path, "utf8")).map((document) => document.toJS() as Manifest)
)

const named = (kind: string, name: string): Manifest => {
  const found = manifests.find((manifest) => manifest.kind === kind && manifest.metadata.name === name)
  if (found === undefined) throw new Error(`No manifest is the ${kind} ${name}.`)
  return found
}

/** A container, as its node starts it. */
export interface Workload {
  readonly name: string
  readonly image: string
  readonly args: ReadonlyArray<string>
  readonly environment: Readonly<Record<string, string>>
  /** The mounted files, by their paths. */
  readonly files: ReadonlyMap<string, string>
  /** The environments in which it runs, once each. */
  readonly indexes: ReadonlyArray<Readonly<Record<string, string>>>
  readonly pod: PodSpec
}

/** All objects that start containers, by name. */
export const workloads: ReadonlyMap<string, Workload> = new Map(
  manifests.flatMap(({ metadata: { name }, spec }) => {
    const job = spec?.jobTemplate?.spec ?? spec
    // A claim of a volume has a specification, too.
    return job?.template === undefined ? [] : [[name, workloadOf(name, job, spec?.replicas)] as const]
  })
)

function workloadOf(
  name: string,
  { completionMode, completions = 1, template }: JobSpec,
  replicas?: number
): Workload {
  const pod = template.spec
  const [container] = pod.containers
  if (container === undefined) throw new Error(`${name} has no container.`)
  const environment = environmentOf(container)
  return {
    name,
    image: container.image,
    pod,
    environment,
    // As Kubernetes replaces them: https://kubernetes.io/docs/tasks/inject-data-application/define-command-argument-container/
    args: container.args.map((arg) =>
      arg.replaceAll(/\$\((\w+)\)/g, (text, name) => environment[name] ?? text)
    ),
    files: filesOf(pod, container),
    indexes:
      completionMode === "Indexed"
        ? Array.from({ length: completions }, (_, index) => ({ JOB_COMPLETION_INDEX: `${index}` }))
        : Array.from({ length: replicas ?? completions }, () => ({}))
  }
}

function environmentOf({ env = [], envFrom = [] }: Container): Record<string, string> {
  const secrets = envFrom.map(({ secretRef }) => named("Secret", secretRef.name).stringData)
  const variables = env.map(({ name, value, valueFrom }) => {
    const from = valueFrom?.configMapKeyRef
    return [name, value ?? (from && named("ConfigMap", from.name).data?.[from.key])]
  })
  return Object.assign({}, ...secrets, Object.fromEntries(variables))
}

function filesOf({ volumes }: PodSpec, { volumeMounts }: Container): ReadonlyMap<string, string> {
  return new Map(
    volumeMounts.flatMap(({ mountPath, name }) => {
      const map = volumes.find((volume) => volume.name === name)?.configMap
      if (map === undefined) return []
      const { data = {} } = named("ConfigMap", map.name)
      return map.items.map(({ key, path }) => [`${mountPath}/${path}`, data[key] ?? ""] as const)
    })
  )
}

/** The service of examples/compose that syncs. */
export const composeService = (): {
  readonly image: string
  readonly command: ReadonlyArray<string>
  readonly environment: Readonly<Record<string, string>>
} => parse(exampleText("compose/compose.yaml")).services.sync
