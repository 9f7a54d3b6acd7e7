/** Recognises login pages: a proxy sends a browser there, and a program cannot go on. */

export const needsLogin =
  "It looks like a login page, which only a browser can use. Set authentication so that no login is needed, for example to a bearer token, or set base_url to the server's own address behind the login."

/** Hosts and folders of login pages, as complete words. */
const words =
  /(^|[._/-])(log[-_]?[io]n|sign[-_]?in|sso|oauth2?|oidc|openid-connect|saml2?|auth[nz]?|authorize|authenticat(e|ion)|accounts|adfs|idp|okta|auth0|microsoftonline|cloudflareaccess|amazoncognito|authelia|goauthentik|keycloak|dex)([._/-]|$)/i

/** Parameters of OAuth, SAML and of proxies that return to the page after the login. */
const parameters = [
  "client_id",
  "response_type",
  "redirect_uri",
  "SAMLRequest",
  "rd",
  "redirect_url",
  "returnUrl"
]

/** Whether an address looks like that of a login page. */
export const isLoginAddress = ({ hostname, pathname, searchParams }: URL): boolean =>
  words.test(hostname) || words.test(pathname) || parameters.some((name) => searchParams.has(name))

/** A page with a field for a password, or with such a title. */
export const loginPage =
  /type=["']?password|<title[^<]{0,100}(sign[ -]?in|log[ -]?in|single sign-on|\bsso\b|authenticat|anmeld)/i
