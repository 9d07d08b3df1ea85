/** comlink ships its Node adapter without types for the `.mjs` path. */
declare module "comlink/dist/esm/node-adapter.mjs" {
  import type { Endpoint } from "comlink";
  import type { Worker, MessagePort } from "node:worker_threads";
  export default function nodeEndpoint(port: Worker | MessagePort): Endpoint;
}
