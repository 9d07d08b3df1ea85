import { expect } from "chai";
import { explainError } from "../../src/job/diagnosis-hints.js";

/** Last lines as PyTorch, NCCL and Linux write them. */
const lines: [string, string][] = [
  [
    "cuda-out-of-memory",
    "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 20.00 MiB. GPU 0 has a total capacity",
  ],
  ["gpu-memory-error", "RuntimeError: CUDA error: uncorrectable ECC error encountered"],
  ["cuda-driver", "RuntimeError: CUDA error: no kernel image is available for execution on the device"],
  [
    "nccl-timeout",
    "[rank1]:[E] ProcessGroupNCCL.cpp:616] [Rank 1] Watchdog caught collective operation timeout: WorkNCCL(SeqNum=7)",
  ],
  [
    "gloo-timeout",
    "RuntimeError: [/pytorch/…/tcp/unbound_buffer.cc:81] Timed out waiting 1800000ms for recv operation to complete",
  ],
  ["peer-gone", "RuntimeError: [/pytorch/…/tcp/pair.cc:534] Connection closed by peer [127.0.0.1]:32817"],
  [
    "shared-memory",
    "ERROR: Unexpected bus error encountered in worker. This might be caused by insufficient shared memory (shm).",
  ],
  ["host-out-of-memory", "RuntimeError: DataLoader worker (pid 4242) is killed by signal: Killed."],
  ["address-in-use", "OSError: [Errno 98] Address already in use"],
  ["disk-full", "OSError: [Errno 28] No space left on device"],
  ["too-many-open-files", "OSError: [Errno 24] Too many open files"],
  [
    "unused-parameters",
    "RuntimeError: Expected to have finished reduction in the prior iteration before starting a new one.",
  ],
  ["module-missing", "ModuleNotFoundError: No module named 'einops'"],
];

describe("hints for known errors", () => {
  for (const [id, line] of lines) {
    it(`knows ${id}`, () => {
      const found = explainError(
        `Traceback (most recent call last):\n  File "train.py", line 3, in <module>\n${line}\n`,
      );
      expect(found?.id).to.equal(id);
      expect(found?.hint).to.match(/^[A-Z].*\.$/);
    });
  }

  it("says nothing of what it does not know", () => {
    expect(explainError("ValueError: batch size must be positive")).to.equal(null);
    expect(explainError("")).to.equal(null);
  });

  it("looks at the end of a long text, in little time", () => {
    const long = "x".repeat(10_000_000);
    expect(explainError(`${long}\nOSError: [Errno 28] No space left on device`)?.id).to.equal("disk-full");
    expect(explainError(`OSError: [Errno 28] No space left on device\n${long}`)).to.equal(null);
  });
});
