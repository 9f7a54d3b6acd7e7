/** The process of a real server: starts it on a loopback port, waits until it is ready, and stops it. */
import { type ChildProcess, spawn } from "node:child_process"
import { once } from "node:events"
import { createServer } from "node:net"
import { setTimeout as sleep } from "node:timers/promises"

/** How long a server may take to become ready, and to end after SIGTERM before it is killed. */
const startTimeoutMillis = 60_000
const stopTimeoutMillis = 10_000

/** The properties of a server that do not change when it restarts. */
export interface ServerProgram {
  readonly program: string
  /** Its arguments, for listening on this port of 127.0.0.1. */
  readonly args: (port: number) => ReadonlyArray<string>
  /** The prefix of every path, such as `/prometheus`; empty for none. */
  readonly pathPrefix: string
  /** It serves HTTPS. */
  readonly isSecure?: boolean
  /**
   * Finds the port in the log of a server that was started with port 0, which cannot collide. Without it, a port is
   * chosen for the server; if that port is taken, another one is chosen.
   */
  readonly portInLog?: RegExp
  /** The user that runs it, if that is another one. */
  readonly user?: { readonly uid: number; readonly gid: number } | undefined
  /** Variables beside those of this process. */
  readonly environment?: Readonly<Record<string, string>>
  /** The signal that stops it; SIGTERM by default. */
  readonly stopSignal?: NodeJS.Signals
  /** Whether the server at this address responds, and is this one. */
  readonly ready: (baseUrl: string) => Promise<boolean>
}

/** How many ports are tried. */
const PORTS = 5

/** A server's process. Its log is kept, to find its port and to explain a failed start. */
export class ServerProcess {
  readonly server: ServerProgram
  /** Zero until it is known; a restart keeps it. */
  port = 0
  child: ChildProcess | undefined
  log = ""

  constructor(server: ServerProgram) {
    this.server = server
  }

  get baseUrl(): string {
    return `${this.server.isSecure === true ? "https" : "http"}://127.0.0.1:${this.port}${this.server.pathPrefix}`
  }

  get pid(): number {
    return this.child?.pid ?? 0
  }

  /** Spawns the process and waits until it is ready. If that fails, `stop` must still be called. */
  async start(signal: AbortSignal): Promise<void> {
    const choose = this.port === 0 && this.server.portInLog === undefined
    for (let left = choose ? PORTS : 1; ; ) {
      if (choose) this.port = await freePort()
      try {
        return await this.startOnce(signal)
      } catch (error) {
        left--
        if (left === 0 || !this.log.includes("address already in use")) throw error
      }
    }
  }

  async startOnce(signal: AbortSignal): Promise<void> {
    this.log = ""
    const { program } = this.server
    const args = this.server.args(this.port)
    const child = spawn(program, args, {
      stdio: ["ignore", "ignore", "pipe"],
      env: { ...process.env, ...this.server.environment },
      ...this.server.user
    })
    this.child = child
    child.stderr.on("data", (chunk: Buffer) => {
      this.log = (this.log + chunk.toString()).slice(-100_000)
    })
    let failure: string | undefined
    child.once("error", (error) => {
      failure = `could not be started: ${error.message}`
    })
    child.once("close", (code, by) => {
      failure ??= `ended with ${by ?? `code ${code}`}`
    })
    running.add(child)
    child.once("exit", () => running.delete(child))

    const deadline = performance.now() + startTimeoutMillis
    while (!(await this.isReady())) {
      signal.throwIfAborted()
      if (failure === undefined && performance.now() > deadline)
        failure = `was not ready in ${startTimeoutMillis} ms`
      if (failure !== undefined) throw new Error(`${program} ${args.join(" ")} ${failure}.\n${this.log}`)
      await sleep(10)
    }
  }

  async isReady(): Promise<boolean> {
    if (this.server.portInLog !== undefined) {
      const port = this.server.portInLog.exec(this.log)?.[1]
      if (port === undefined) return false
      this.port = Number(port)
    }
    try {
      return await this.server.ready(this.baseUrl)
    } catch {
      return false
    }
  }

  /** Stops the process, and waits until it has ended. */
  async stop(): Promise<void> {
    const child = this.child
    if (child === undefined || child.pid === undefined || hasEnded(child)) return
    const ended = once(child, "exit")
    child.kill(this.server.stopSignal ?? "SIGTERM")
    const timer = setTimeout(() => child.kill("SIGKILL"), stopTimeoutMillis)
    await ended
    clearTimeout(timer)
  }
}

const hasEnded = (child: ChildProcess): boolean => child.exitCode !== null || child.signalCode !== null

/** A port of 127.0.0.1 on which nothing is listening at the moment. */
const freePort = async (): Promise<number> => {
  const server = createServer().listen(0, "127.0.0.1")
  await once(server, "listening")
  const address = server.address()
  server.close()
  await once(server, "close")
  if (address === null || typeof address === "string") throw new Error("A listening socket has no port")
  return address.port
}

/** Stops the servers even if a scope never closes because the test process exits early. */
const running = new Set<ChildProcess>()
process.once("exit", () => {
  for (const child of running) child.kill("SIGKILL")
})
