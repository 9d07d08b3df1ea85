/** msgpackr without its native part; its own types of this entry do not resolve. */
declare module "msgpackr/pack" {
  export { Packr, Unpackr, pack, unpack } from "msgpackr";
}
