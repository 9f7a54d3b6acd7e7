import { assert, describe, it } from "@effect/vitest"
import { s3Error } from "../../../src/destinations/objects/s3Error.ts"

const attempt = {
  what: "written",
  url: "s3://metrics/a",
  bucket: "metrics",
  permission: "s3:PutObject",
  endpoint: "http://store:9000"
}

const errorOf = (name: string, message = "", status?: number) =>
  Object.assign(new Error(message), {
    name,
    ...(status === undefined ? {} : { $metadata: { httpStatusCode: status } })
  })

describe("the errors of S3", () => {
  it.each([
    [
      errorOf("AccessDenied", "Access Denied", 403),
      "access denied. Allow s3:PutObject on s3://metrics/a, or choose another place."
    ],
    [
      errorOf("ExpiredToken"),
      "the AWS credentials have expired. Renew them, and run again: what was committed is kept."
    ],
    [
      errorOf("RequestTimeTooSkewed"),
      "the clock of this machine is wrong. Set it, and run again: what was committed is kept."
    ],
    [
      errorOf("AuthorizationHeaderMalformed", "The region 'us-east-1' is wrong; expecting 'eu-west-1'"),
      "the bucket is in another region. Set AWS_REGION=eu-west-1."
    ],
    [
      errorOf("QuotaExceeded"),
      "the store is full, or its quota is used up. Make room and run again: what was committed is kept."
    ],
    [
      errorOf("SlowDown", "Please reduce your request rate.", 503),
      "http://store:9000 is too busy or has an internal error, also when asked again: Please reduce your request rate. Run again later: what was committed is kept."
    ],
    [
      errorOf("CredentialsProviderError", "Could not load credentials from process: s3cr/et"),
      "there are no AWS credentials. Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, a profile that AWS_PROFILE names, or a role of EC2, ECS or EKS."
    ],
    [
      Object.assign(new Error("connect ECONNREFUSED 10.0.0.1:9000"), { code: "ECONNREFUSED" }),
      "http://store:9000 cannot be reached: connect ECONNREFUSED 10.0.0.1:9000. Check the network and AWS_ENDPOINT_URL_S3, and run again: what was committed is kept."
    ],
    [
      Object.assign(new Error("self-signed certificate"), { code: "DEPTH_ZERO_SELF_SIGNED_CERT" }),
      "the certificate of http://store:9000 is not trusted. If a certificate authority of your own has issued it, set AWS_CA_BUNDLE or NODE_EXTRA_CA_CERTS to its file."
    ],
    // A code of a store's own, with a status that says what it is.
    [
      errorOf("XStoreBusy", "Busy.", 503),
      "http://store:9000 is too busy or has an internal error, also when asked again: Busy. Run again later: what was committed is kept."
    ]
  ])("are sentences that say what to do: %s", (error, reason) => {
    const { isFatal, message } = s3Error(attempt, error)
    assert.strictEqual(message, `s3://metrics/a cannot be written: ${reason}`)
    assert.strictEqual(isFatal, true)
  })

  it("fail one stream only if they concern one object", () => {
    const error = s3Error(attempt, errorOf("NoSuchKey", "The specified key does not exist.", 404))
    assert.strictEqual(
      error.message,
      "s3://metrics/a cannot be written: NoSuchKey: The specified key does not exist."
    )
    assert.notProperty(error, "isFatal")
  })
})
