// The part of WebAssembly that Drivebay uses: TypeScript declares it only together with a browser's globals.
declare namespace WebAssembly {
  class Memory<Kind extends ArrayBuffer | SharedArrayBuffer = SharedArrayBuffer> {
    constructor(
      descriptor: Kind extends SharedArrayBuffer
        ? { initial: number; maximum: number; shared: true }
        : { initial: number },
    );
    readonly buffer: Kind;
  }
  class Module {
    constructor(bytes: Uint8Array);
  }
  class Instance {
    constructor(module: Module, imports?: Readonly<Record<string, Readonly<Record<string, unknown>>>>);
    readonly exports: Readonly<Record<string, unknown>>;
  }
}
