/** Checks of authentication: one method, and all of it. */
import { Redacted } from "effect"
import type { Check, PartialAuthentication, PartialConfig } from "./Check.ts"
import { lengthProblems } from "./headerText.ts"

/** The problems of the credentials. */
export const authenticationProblems: Check = (config) => [
  ...basicProblems(config),
  ...methodProblems(config),
  ...halfProblems(config.authentication ?? { auth_type: "none" })
]

/** The name of the method that the key `authentication` selects, if it selects one. */
export const methodNameOf = ({ authentication }: PartialConfig): string | undefined =>
  authentication === undefined || authentication.auth_type === "none" ? undefined : authentication.auth_type

const basicProblems: Check = (config) => {
  const { basic_auth_pass: password, basic_auth_user: user } = config
  if (user === undefined) {
    return password === undefined || methodNameOf(config) !== undefined
      ? []
      : [
          "basic_auth_pass is set without basic_auth_user: basic authentication needs both. Set basic_auth_user too, or remove basic_auth_pass. A token without a user goes into authentication, as a bearer token."
        ]
  }
  if (password === undefined) {
    return [
      'basic_auth_user is set without basic_auth_pass: basic authentication needs both. Set basic_auth_pass too, or remove basic_auth_user. If the password is empty, as where an API key is the user, set basic_auth_pass to "".'
    ]
  }
  return [
    ...(user.includes(":")
      ? [
          "basic_auth_user contains a colon, but must not: basic authentication ends the user at the first colon, and what follows would be sent as a part of the password."
        ]
      : []),
    ...lengthProblems("basic_auth_user", user),
    ...lengthProblems("basic_auth_pass", Redacted.value(password))
  ]
}

const methodProblems: Check = (config) => {
  const method = methodNameOf(config)
  const { basic_auth_pass: password, basic_auth_user: user } = config
  if (method === undefined || (user === undefined && password === undefined)) return []
  const basic = user === undefined ? "basic_auth_pass" : "basic_auth_user"
  return [
    `${basic} is set together with authentication (${method}), but a request can carry only one of them: remove basic_auth_user and basic_auth_pass, or set authentication.auth_type to none.`
  ]
}

/** A key that has no effect, or cannot work, without another one. */
const needs = (
  path: string,
  isGiven: boolean,
  other: string,
  isOtherGiven: boolean,
  advice: string
): ReadonlyArray<string> =>
  isGiven && !isOtherGiven
    ? [`authentication.${path} is set without authentication.${other}: ${advice}.`]
    : []

const halfProblems = (authentication: PartialAuthentication): ReadonlyArray<string> => {
  if (authentication.auth_type === "oauth2") {
    return (authentication.parameters ?? []).flatMap(({ name }, index) => {
      const path = `authentication.parameters[${index}].name`
      if (name === "") return [`${path} must not be empty.`]
      const instead = tokenParameters.get(name)
      return instead === undefined ? [] : [`${path} is ${name}, which ${instead}: remove it.`]
    })
  }
  if (authentication.auth_type !== "aws_sigv4") return []
  const {
    access_key_id: id,
    external_id: externalId,
    role_arn: role,
    secret_access_key: secret,
    session_token: session
  } = authentication
  const [hasId, hasSecret] = [id !== undefined, secret !== undefined]
  return [
    ...needs(
      "access_key_id",
      hasId,
      "secret_access_key",
      hasSecret,
      "an access key needs both. Set both, or neither to use the credentials of the machine"
    ),
    ...needs(
      "secret_access_key",
      hasSecret,
      "access_key_id",
      hasId,
      "an access key needs both. Set both, or neither to use the credentials of the machine"
    ),
    ...(hasId || hasSecret
      ? []
      : needs(
          "session_token",
          session !== undefined,
          "access_key_id",
          hasId,
          "it belongs to a temporary access key. Set authentication.access_key_id and authentication.secret_access_key too, or remove it"
        )),
    ...needs(
      "external_id",
      externalId !== undefined,
      "role_arn",
      role !== undefined,
      "only a role asks for it. Set authentication.role_arn too, or remove it"
    )
  ]
}

/** The parameters of a request for a token that the program sends itself, and where their values come from. */
const tokenParameters: ReadonlyMap<string, string> = new Map([
  ["audience", "authentication.audience sets"],
  ["client_assertion", "this method does not use"],
  ["client_assertion_type", "this method does not use"],
  ["client_id", "authentication.client_id sets"],
  ["client_secret", "authentication.client_secret sets"],
  ["grant_type", "is client_credentials for this method"],
  ["scope", "authentication.scopes sets"]
])
