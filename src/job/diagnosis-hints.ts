/**
 * Lines that are known from the logs of failed ranks, and what to do about them. A table, so that it can grow without
 * code.
 *
 * The first entry that matches wins, so what is special stands before what is general.
 */

export type ErrorHint = Readonly<{
  /** Stable name of the entry. */
  id: string;
  /** What it means and what to do, as one or two sentences. */
  hint: string;
}>;

/** Texts longer than this are looked at from their end, where the exception is. */
const charsMax = 64 * 1024;

const known: readonly Readonly<{ id: string; pattern: RegExp; hint: string }>[] = [
  {
    id: "cuda-out-of-memory",
    pattern: /CUDA out of memory|torch\.(cuda\.)?OutOfMemoryError|CUBLAS_STATUS_ALLOC_FAILED/,
    hint:
      "The GPU's memory is full. Use a smaller batch, gradient accumulation or checkpointing; if much is " +
      "reserved but not allocated, set PYTORCH_CUDA_ALLOC_CONF=expandable_segments:True.",
  },
  {
    id: "gpu-memory-error",
    pattern: /uncorrectable (NVLink|ECC) error|ECC error|Xid .*\b(48|63|64|74|79|94|95)\b|GPU has fallen off the bus/i,
    hint: "The GPU reports a hardware error. Keep the job off this host, and have the GPU reset or replaced.",
  },
  {
    id: "cuda-driver",
    pattern: /CUDA driver version is insufficient|no kernel image is available for execution/,
    hint: "This build of PyTorch does not fit the driver or the GPU. Install a build for this CUDA version and GPU.",
  },
  {
    id: "nccl-timeout",
    pattern: /Watchdog caught collective operation timeout|NCCL.*(timed out|timeout)|ncclRemoteError|ncclSystemError/i,
    hint:
      "A collective operation did not end in time: another rank had failed, was stuck or took another path. Look " +
      "at the rank that failed first; if all are well, look at the network (NCCL_DEBUG=INFO, " +
      "NCCL_SOCKET_IFNAME).",
  },
  {
    id: "gloo-timeout",
    pattern: /gloo.*(timed out|Timed out)|Timed out waiting \d+ms for (recv|send) operation/,
    hint:
      "A collective operation did not end in time: another rank had failed, was stuck or took another path. Look " +
      "at the rank that failed first.",
  },
  {
    id: "peer-gone",
    pattern: /Connection closed by peer|Connection reset by peer|Broken pipe|DistNetworkError/,
    hint: "A peer went away. This is what follows from another failure: look at the rank that failed first.",
  },
  {
    id: "shared-memory",
    pattern: /Bus error|unable to (open|write|mmap).*shm|unable to mmap .* bytes from file <\/torch_/i,
    hint:
      "Shared memory is too small. In Docker, start the container with --shm-size=1g or --ipc=host; else use " +
      "fewer DataLoader workers.",
  },
  {
    id: "host-out-of-memory",
    pattern: /DataLoader worker .* killed by signal: Killed|Cannot allocate memory|\bMemoryError\b|std::bad_alloc/,
    hint: "The host's memory is full. Use fewer DataLoader workers or smaller batches, or give the node more memory.",
  },
  {
    id: "address-in-use",
    pattern: /Address already in use|EADDRINUSE/i,
    hint:
      "A port that the script opens is taken, often by a process of an earlier run. Let the script take a free " +
      "port, or end that process.",
  },
  {
    id: "disk-full",
    pattern: /No space left on device|ENOSPC|Disk quota exceeded/i,
    hint: "The disk (or the user's quota) is full. Free some space, or write logs and checkpoints elsewhere.",
  },
  {
    id: "too-many-open-files",
    pattern: /Too many open files|EMFILE/,
    hint:
      "The limit on open files is reached. Raise it with ulimit -n, or use " +
      "torch.multiprocessing.set_sharing_strategy('file_system').",
  },
  {
    id: "unused-parameters",
    pattern: /Expected to have finished reduction in the prior iteration/,
    hint:
      "Some parameters took no part in the loss. Pass find_unused_parameters=True to DistributedDataParallel, or " +
      "see to it that all are used on every rank.",
  },
  {
    id: "module-missing",
    pattern: /ModuleNotFoundError: No module named/,
    hint:
      "A module is not installed for the interpreter that runs the script. Install it there, or choose another " +
      "interpreter.",
  },
];

/** What is known of the text of a failed rank (traceback or the end of stderr); null if nothing is. */
export function explainError(text: string): ErrorHint | null {
  const looked = text.slice(-charsMax);
  const found = known.find(({ pattern }) => pattern.test(looked));
  return found === undefined ? null : { id: found.id, hint: found.hint };
}
