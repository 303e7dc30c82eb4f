/** A part of JsSIP that it ships without types. */
declare module "jssip/lib/Dialog/RequestSender" {
  export default class RequestSender {}
}
