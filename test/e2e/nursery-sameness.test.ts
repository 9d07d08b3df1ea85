/** A rank that was forked from a warm interpreter against one that was started anew: what a script sees, and how it ends. */

import { mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { expect } from "chai";
import { NurseryFolder, rankOf, type Exit, type Talk } from "./nursery-process.js";

const describeProcess = fileURLToPath(new URL("../../../test/fixtures/describe_process.py", import.meta.url));

type Description = { like: Record<string, unknown>; unlike: Record<string, unknown>; modules: string[] };

describe("a warm rank", function () {
  this.timeout(240_000);
  let folder: NurseryFolder;
  let agent: Talk;

  before(async () => {
    folder = new NurseryFolder();
    agent = await folder.fork(await folder.zygote(["--script", describeProcess]));
  });
  after(() => folder.close());

  let count = 0;
  type Ended = { exitCode: number | null; signal: string | null; stdout: string; stderr: string };
  type Program = { kind?: "script" | "module"; target: string; args?: readonly string[] };

  /** Runs the program warm or cold to its end. */
  const run = async (isWarm: boolean, program: Program, more: Record<string, unknown> = {}): Promise<Ended> => {
    const token = `r${count++}`;
    const answer = await agent.ask("start-rank", rankOf(folder, token, program, { warm: isWarm, ...more }));
    expect(answer, JSON.stringify(answer)).to.include({ ok: true, warm: isWarm });
    const exit: Exit = await agent.exitOf(token);
    const clean = (text: string): string => text.replaceAll(token, "<token>").replaceAll(/0x[0-9a-f]+/g, "0x…");
    return { exitCode: exit.exitCode, signal: exit.signal, stdout: clean(folder.read(`${token}.out`)), stderr: clean(folder.read(`${token}.err`)) };
  };
  const script = (text: string): Program => {
    const path = folder.file(`script${count}.py`);
    writeFileSync(path, text);
    return { target: path };
  };
  const both = async (program: Program, more: Record<string, unknown> = {}): Promise<Ended> => {
    const warm = await run(true, program, more);
    expect(warm).to.deep.equal(await run(false, program, more));
    return warm;
  };
  const describe_ = async (isWarm: boolean, more: Record<string, unknown> = {}): Promise<Description> => {
    const out = folder.file("described.json");
    const end = await run(isWarm, { target: describeProcess, args: [out, "a b", "--x"] }, more);
    expect(end.exitCode, end.stderr).to.equal(0);
    return JSON.parse(folder.read("described.json").replaceAll(`r${count - 1}`, "<token>")) as Description;
  };

  it("sees what a new interpreter sees", async () => {
    writeFileSync(folder.file("input"), "some\r\nlines\n");
    const env = { ...process.env, DROVER_HOME: folder.path, TZ: "Asia/Tokyo", SOME: "välue" };
    const more = { env, stdin: folder.file("input"), umask: 0o27 };
    const warm = await describe_(true, more);
    const cold = await describe_(false, more);
    for (const [name, value] of Object.entries(cold.like)) expect(warm.like[name], name).to.deep.equal(value);
    expect(cold.modules.filter((name) => !warm.modules.includes(name))).to.deep.equal([]);
    expect(warm.modules.filter((name) => name.includes("drover"))).to.deep.equal([]);
  });

  it("draws other random numbers than its siblings", async () => {
    const one = await describe_(true);
    const other = await describe_(true);
    for (const name of Object.keys(one.unlike)) expect(one.unlike[name], name).not.to.deep.equal(other.unlike[name]);
  });

  const ends: Record<string, string> = {
    "by running to its end": "print('fine')",
    "by sys.exit()": "import sys; sys.exit()",
    "by sys.exit(7)": "import sys; sys.exit(7)",
    "by sys.exit(300)": "import sys; sys.exit(300)",
    "by sys.exit(True)": "import sys; sys.exit(True)",
    "by sys.exit with a text": "import sys; sys.exit('no more')",
    "by an exception": "def f():\n    raise ValueError('bad ä')\ndef g():\n    f()\ng()",
    "by a chain of exceptions": "try:\n    1 / 0\nexcept ZeroDivisionError as e:\n    raise KeyError('k') from e",
    "by an exception with notes of its own hook": "import sys\nsys.excepthook = lambda *a: print('hook', a[0].__name__)\nraise ValueError",
    "by an exception while its hook fails": "import sys\ndef hook(*a):\n    raise KeyError('in hook')\nsys.excepthook = hook\nraise ValueError('first')",
    "by a syntax error": "print('never')\nif:\n",
    "by KeyboardInterrupt": "raise KeyboardInterrupt",
    "by SIGINT": "import os, signal, time\nos.kill(os.getpid(), signal.SIGINT)\ntime.sleep(5)",
    "by SIGTERM": "import os, signal, time\nos.kill(os.getpid(), signal.SIGTERM)\ntime.sleep(5)",
    "by SIGKILL": "import os\nprint('x', flush=True)\nos.kill(os.getpid(), 9)",
    "by os._exit": "import os\nos._exit(9)",
    "by abort": "import os, resource\nresource.setrlimit(resource.RLIMIT_CORE, (0, 0))\nos.abort()",
    "by exec": "import os, sys\nos.execv(sys.executable, [sys.executable, '-c', 'print(5)'])",
    "after its atexit functions":
      "import atexit\natexit.register(print, 'last')\natexit.register(print, 'first')\nprint('body')\nraise SystemExit(3)",
    "after its threads":
      "import threading, time\nthreading.Thread(target=lambda: (time.sleep(0.2), print('thread'))).start()\nprint('body')",
    "with an exception in a thread": "import threading\ndef work():\n    raise ValueError('t')\nthreading.Thread(target=work, name='w').start()",
    "with output that nobody flushed": "import sys\nsys.stdout.buffer.write(b'raw')\nsys.stdout.write(' text')\nsys.stderr.write('err')",
    "with finalizers of its globals": "import sys\nclass A:\n    def __del__(self): print('gone', sys is not None)\na = A()",
    "after a fork whose child raises": "import os\nif os.fork() == 0:\n    raise ValueError('child')\nprint(os.wait()[1])",
    "with a child's environment": "import os, subprocess, sys\nos.environ['MINE'] = '1'\nprint(subprocess.check_output([sys.executable, '-c', 'import os; print(os.environ[\"MINE\"])']))",
    "with a warning": "import warnings\nwarnings.warn('careful')\nwarnings.warn('old', DeprecationWarning)",
    "with its log": "import logging\nlogging.warning('to stderr')\nlogging.basicConfig(level=10)\nlogging.debug('d')",
    "with an unhandled SIGPIPE": "import os, socket\na, b = socket.socketpair()\nb.close()\ntry:\n    a.send(b'x')\nexcept BrokenPipeError:\n    print('broken pipe')",
    "with a pickle of its own class": "import pickle\nclass A: pass\nprint(pickle.loads(pickle.dumps(A())).__class__.__module__)",
    "by unraisable errors": "class A:\n    def __del__(self): raise ValueError('del')\na = A()\ndel a",
    "with numpy and torch at work": "import numpy, torch\nprint(numpy.ones((300, 300)).dot(numpy.ones((300, 300))).sum(), (torch.ones(500, 500) @ torch.ones(500, 500)).sum())",
    "with autograd": "import torch\nx = torch.ones(3, requires_grad=True)\n(x * x).sum().backward()\nprint(x.grad)",
  };
  for (const [name, text] of Object.entries(ends)) {
    it(`ends ${name} as a new interpreter does`, async () => {
      await both(script(text));
    });
  }

  for (const method of ["fork", "spawn", "forkserver"]) {
    it(`uses multiprocessing with ${method} as a new interpreter does`, async () => {
      const text = [
        "import multiprocessing, os, random, sys",
        "def work(n):",
        "    return n * n, __name__, multiprocessing.parent_process() is not None, sys.argv[1:], os.getcwd()",
        "if __name__ == '__main__':",
        `    multiprocessing.set_start_method('${method}')`,
        "    with multiprocessing.Pool(2) as pool:",
        "        print(pool.map(work, range(3)))",
        "    queue = multiprocessing.Queue()",
        "    child = multiprocessing.Process(target=queue.put, args=(5,))",
        "    child.start()",
        "    print(queue.get(), child.name)",
        "    child.join()",
        "    print(child.exitcode)",
      ].join("\n");
      const end = await both({ ...script(text), args: ["x"] });
      expect(end.exitCode, end.stderr).to.equal(0);
    });
  }

  it("loads data with worker processes as a new interpreter does", async () => {
    const text = [
      "import torch",
      "from torch.utils.data import DataLoader",
      "if __name__ == '__main__':",
      "    torch.manual_seed(3)",
      "    for batch in DataLoader(range(8), batch_size=4, num_workers=2, shuffle=True):",
      "        print(batch.tolist())",
    ].join("\n");
    expect((await both(script(text))).exitCode).to.equal(0);
  });

  it("is found by the paths that a new interpreter has: relative, through a link, as a module", async () => {
    mkdirSync(folder.file("pkg/inner"), { recursive: true });
    const show = "import sys\nprint(__name__, __file__, __package__, __spec__ and __spec__.name, sys.argv, sys.path)\n";
    writeFileSync(folder.file("pkg/__init__.py"), "");
    writeFileSync(folder.file("pkg/__main__.py"), show);
    writeFileSync(folder.file("pkg/tool.py"), `from . import inner\n${show}`);
    writeFileSync(folder.file("pkg/inner/__init__.py"), "");
    writeFileSync(folder.file("pkg/broken.py"), "def f():\n    raise ValueError('in a module')\nf()\n");
    writeFileSync(folder.file("plain.py"), show);
    symlinkSync("../plain.py", folder.file("pkg/link.py"));
    await both({ target: "plain.py", args: ["1"] });
    await both({ target: "pkg/link.py" });
    await both({ target: "./pkg/../plain.py" });
    await both({ kind: "module", target: "pkg", args: ["-v", "x"] });
    await both({ kind: "module", target: "pkg.tool" });
    await both({ kind: "module", target: "pkg.broken" });
    await both({ kind: "module", target: "no.such.module" });
  });

  it("is started cold where a fork would not be the same, and says why", async () => {
    const why = async (program: Program, env: Record<string, string> = {}): Promise<unknown> => {
      const more = { env: { ...process.env, ...env } };
      const token = `r${count++}`;
      const answer = await agent.ask("start-rank", rankOf(folder, token, program, more));
      await agent.exitOf(token);
      return answer["whyCold"];
    };
    const fine = script("print(1)");
    expect(await why(fine)).to.equal(null);
    expect(await why(fine, { OMP_NUM_THREADS: "3" })).to.match(/OMP_NUM_THREADS is '3'/);
    expect(await why(fine, { PYTHONHASHSEED: "0" })).to.match(/PYTHONHASHSEED/);
    expect(await why(fine, { TORCHDYNAMO_VERBOSE: "1" }), "read by torch while it is imported").to.match(/TORCHDYNAMO_VERBOSE/);
    expect(await why(fine, { RANK: "1", MASTER_PORT: "1", WHATEVER: "1" })).to.equal(null);
    mkdirSync(folder.file("shadow"));
    writeFileSync(folder.file("shadow/numpy.py"), "");
    writeFileSync(folder.file("shadow/run.py"), "import numpy\nprint(numpy.__file__)\n");
    expect(await why({ target: folder.file("shadow/run.py") })).to.match(/module numpy of its own/);
    expect(await why({ target: folder.file("missing.py") })).to.match(/not a source file/);
  });

  it("leaves its traceback in torchelastic's error file, unless the script wrote one", async () => {
    const error = folder.file("error.json");
    const program = script("def f():\n    raise ValueError('for the agent')\nf()\n");
    await run(true, program, { env: { ...process.env, TORCHELASTIC_ERROR_FILE: error } });
    const { message } = JSON.parse(folder.read("error.json")) as { message: { message: string; extraInfo: { py_callstack: string; timestamp: string } } };
    expect(message.message).to.equal("ValueError: for the agent");
    expect(message.extraInfo.py_callstack).to.match(/^Traceback[^]*in f\n/).and.not.include("drover_nursery");
    expect(Number(message.extraInfo.timestamp)).to.be.closeTo(Date.now() / 1000, 60);
    writeFileSync(error, "mine");
    await run(true, program, { env: { ...process.env, TORCHELASTIC_ERROR_FILE: error } });
    expect(folder.read("error.json")).to.equal("mine");
  });
});
