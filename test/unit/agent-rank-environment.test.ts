/** The environment of a rank (src/agent/rank-environment.ts); test/e2e/agent-torchrun.test.ts compares it with a real torchrun's. */

import { expect } from "chai";
import { rankEnvironment, type RankPlace } from "../../src/agent/rank-environment.js";
import { resolveSpec } from "../../src/job/resolve-spec.js";

function place(env: Record<string, string>, nproc: number, more: Partial<RankPlace> = {}): RankPlace {
  const role = { nprocPerNode: nproc, entrypoint: { target: "train.py", python: "/usr/bin/python3" } };
  const spec = resolveSpec({ name: "j", roles: [role], cwd: "/", env, maxRestarts: 5, runId: "r1" }, "/logs");
  const where = { round: 4, groupRank: 1, groupWorldSize: 3, firstRank: 2, nproc, worldSize: 6, roleFirstRank: 1, roleWorldSize: 5 };
  return {
    spec,
    role: spec.roles[0]!,
    node: "worker-7",
    nodeRank: 1,
    assignment: { ...where, masterAddr: "10.0.0.1", masterPort: 4567, restartCount: 2 },
    localRank: 1,
    masterAddress: "10.0.0.9:8000",
    tokenPath: "/home/j/token",
    progressPath: "/p",
    errorPath: "/e",
    rankToken: "t",
    ...more,
  };
}

describe("the environment of a rank", () => {
  it("has torchrun's variables, from the node's place in the round", () => {
    expect(rankEnvironment(place({ HOME: "/root" }, 2))).to.include({
      ...{ HOME: "/root", RANK: "3", LOCAL_RANK: "1", WORLD_SIZE: "6", LOCAL_WORLD_SIZE: "2", GROUP_RANK: "1", GROUP_WORLD_SIZE: "3" },
      ...{ ROLE_RANK: "2", ROLE_WORLD_SIZE: "5", ROLE_NAME: "default", MASTER_ADDR: "10.0.0.1", MASTER_PORT: "4567" },
      ...{ TORCHELASTIC_RESTART_COUNT: "2", TORCHELASTIC_MAX_RESTARTS: "5", TORCHELASTIC_RUN_ID: "r1", TORCHELASTIC_USE_AGENT_STORE: "True" },
      ...{ TORCHELASTIC_ERROR_FILE: "/e", TORCH_NCCL_ASYNC_ERROR_HANDLING: "1" },
    });
  });

  it("has DLRover's variables and Drover's own", () => {
    expect(rankEnvironment(place({}, 2))).to.include({
      ...{ DLROVER_MASTER_ADDR: "10.0.0.9:8000", DLROVER_MASTER_SERVICE_TYPE: "http", NODE_ID: "7", NODE_RANK: "1", NODE_NUM: "3", NODE_TYPE: "worker", JOB_NAME: "j" },
      ...{ DROVER_JOB: "j", DROVER_NODE_ID: "worker-7", DROVER_MASTER_ADDR: "10.0.0.9:8000", DROVER_TOKEN_FILE: "/home/j/token", DROVER_PROGRESS_FILE: "/p" },
      ...{ DROVER_RANK_TOKEN: "t", DROVER_INCARNATION: "4" },
    });
  });

  it("sets one OpenMP thread for several ranks on a node that has no choice of its own, as torchrun does (V2)", () => {
    expect(rankEnvironment(place({}, 2))["OMP_NUM_THREADS"]).to.equal("1");
    expect(rankEnvironment(place({}, 1))).to.not.have.property("OMP_NUM_THREADS");
    expect(rankEnvironment(place({ OMP_NUM_THREADS: "4" }, 2))["OMP_NUM_THREADS"]).to.equal("4");
    expect(rankEnvironment(place({ OMP_NUM_THREADS: "" }, 2))["OMP_NUM_THREADS"]).to.equal("");
  });

  it("has the locale to which Python coerces torchrun, where it does", () => {
    expect(rankEnvironment(place({}, 1))["LC_CTYPE"]).to.equal("C.UTF-8");
    expect(rankEnvironment(place({ LANG: "C" }, 1))["LC_CTYPE"]).to.equal("C.UTF-8");
    for (const env of [{ LANG: "de_DE.UTF-8" }, { LC_ALL: "C" }, { LC_CTYPE: "fr_FR" }, { PYTHONCOERCECLOCALE: "0" }]) {
      expect(rankEnvironment(place(env, 1))["LC_CTYPE"]).to.equal((env as Record<string, string>)["LC_CTYPE"]);
    }
  });

  it("replaces what the job's environment says of a rank's place (V2)", () => {
    const env = rankEnvironment(place({ RANK: "9", MASTER_PORT: "1", TORCH_NCCL_ASYNC_ERROR_HANDLING: "0" }, 2));
    expect(env).to.include({ RANK: "3", MASTER_PORT: "4567", TORCH_NCCL_ASYNC_ERROR_HANDLING: "0" });
  });
});
