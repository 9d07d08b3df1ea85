/** Makes the interpreters of the tests ready and prints their variables, as JSON in the last line. `npm test` runs this beside what needs none. */

import { pythonWith, pythonWithDlrover } from "./set-up.mjs";

const python = pythonWith(["torch", "numpy", "sklearn"], ["torch", "numpy", "scikit-learn", "py-spy"]);
process.stdout.write(`${JSON.stringify({ DROVER_TEST_PYTHON: python, DROVER_DLROVER_PYTHON: pythonWithDlrover(python) })}\n`);
