// Runs fwnode in MicroPython's 32-bit WebAssembly port until it waits for its next check, and prints the heap as JSON.
//     node run.mjs MICROPYTHON.MJS FOLDER BYTES
// A collection takes effect in the next call only, since this port cannot look at its own stack. Its addresses are small
// numbers, which plain data can look like, and what they point to then is kept: so BYTES lie before all else, some 12 MB,
// since few data look like addresses beyond; of several layouts the smallest counts.
import crypto from "node:crypto";
import fs from "node:fs";
import path from "node:path";

const [library, folder, before] = process.argv.slice(2);
const { loadMicroPython } = await import(library);

async function fresh(before) {
    const mp = await loadMicroPython({ heapsize: 1 << 24, stdout: (line) => console.error(line), linebuffer: true });
    mp.registerJsModule("host", { sha1: (hex) => crypto.createHash("sha1").update(hex, "hex").digest("hex") });
    copy(mp, folder, "");
    mp.runPython(`_before = bytearray(${before})`);
    mp.runPython("import gc, sys, asyncio, json, binascii, board\nboard.install()\nsys.path.append('/lib')");
    return mp;
}

function copy(mp, from, to) {
    mp.FS.mkdirTree(to);
    for (const name of fs.readdirSync(from)) {
        const source = path.join(from, name), target = `${to}/${name}`;
        if (fs.statSync(source).isDirectory()) copy(mp, source, target);
        else mp.FS.writeFile(target, fs.readFileSync(source));
    }
}

function value(mp, expression) {
    mp.runPython(`_value = ${expression}`);
    return mp.globals.get("_value");
}

function taken(mp) {
    mp.runPython("gc.collect()");
    mp.runPython("gc.collect()");
    return value(mp, "gc.mem_alloc()");
}

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

async function run(before) {
    const mp = await fresh(before);
    const base = taken(mp);
    mp.runPython("class App: on_state = staticmethod(board.on_state); main = staticmethod(board.main)");
    mp.runPython("import fwnode\ntask = asyncio.create_task(fwnode.main._main(App))");
    const states = () => JSON.parse(value(mp, "json.dumps(board.events)"));
    for (const end = Date.now() + 60000; Date.now() < end; await pause(50)) {
        if (states().some(([state]) => state === "unanswered" || state === "error")) break;
    }
    const modules = () => JSON.parse(value(mp, "json.dumps(board.modules())"));
    for (const end = Date.now() + 60000; Date.now() < end; await pause(200)) { // it lets go of what a check needed
        if (!modules().some((name) => name.startsWith("fwnode.crypto"))) break;
    }
    await pause(500);
    const report = {
        version: value(mp, "'.'.join(map(str, sys.implementation[1][:3]))"),
        bits: value(mp, "sys.maxsize") > 2 ** 31 ? 64 : 32,
        events: states(),
        modules: modules(),
    };
    mp.runPython("board.events.clear()");
    report.taken = taken(mp) - base;
    mp.runPython("board.drop_buffers()");
    report.buffers = report.taken + base - taken(mp);
    return report;
}

// The names of all that the first run loaded are in the table already when the modules that stay are loaded alone.
async function parts(modules, before) {
    const mp = await fresh(before);
    const base = taken(mp);
    mp.runPython("board.load_all()");
    const names = taken(mp) - base;
    mp.runPython(`board.load(${JSON.stringify(modules)})`);
    return { names, code: taken(mp) - base - names };
}

try {
    const report = await run(before);
    console.log(JSON.stringify({ ...report, ...(await parts(report.modules, before)) }));
    process.exit(0);
} catch (error) {
    console.error(error.message); // without the library's one long line
    process.exit(1);
}
