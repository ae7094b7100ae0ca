// The last step of asc for a zApp: attaches the description of its methods, and makes what runs
// before the first call (globals, the allocator) a part of the call, since the runtime takes no
// module with a start function. The description of `hello.ts` is `hello.abi.json` beside it.

const ENTRY = 1; // SourceKind.UserEntry of the compiler.
const MAIN = "zapp_main";
const START = "zapp_start"; // As asconfig.json names it.
const KEPT = [MAIN, "memory"];

export default class {
  // The compiler gives the class what it reads with, the module's library and the folder.
  async afterParse(parser) {
    // The allocator is an entry, too.
    const isAuthors = (source) => source.sourceKind === ENTRY && !source.internalPath.startsWith("~");
    const entry = parser.sources.find(isAuthors);
    const name = entry.normalizedPath.replace(/\.ts$/, ".abi.json");
    const text = await this.readFile(name, this.baseDir);
    if (text === null) throw new Error(`${name} is missing: it describes the zApp's methods`);
    this.description = JSON.stringify(JSON.parse(text));
  }

  afterCompile(module) {
    const { binaryen } = this;
    module.addCustomSection("zapp.abi", new TextEncoder().encode(this.description));

    const functionOf = (name) => binaryen.getExportInfo(module.getExport(name)).value;
    if (module.getExport(MAIN) === 0) throw new Error(`no function is exported as ${MAIN}`);
    const main = module.getFunction(functionOf(MAIN));
    const start = module.call(functionOf(START), [], binaryen.none);
    const body = binaryen._BinaryenFunctionGetBody(main);
    binaryen._BinaryenFunctionSetBody(main, module.block(null, [start, body], binaryen.i32));

    const exports = [];
    for (let at = 0; at < module.getNumExports(); at++) {
      exports.push(binaryen.getExportInfo(module.getExportByIndex(at)).name);
    }
    for (const name of exports) {
      if (!KEPT.includes(name)) module.removeExport(name);
    }
  }
}
