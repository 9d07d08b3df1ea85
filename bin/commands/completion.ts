/** drover completion: scripts for bash and zsh, made from the very definitions of the commands. */

import type { Command } from "commander";
import { BoundaryError } from "../../src/base/errors.js";

export function completion(program: Command, shell: string): string {
  const commands = program.commands.map((command) => command.name());
  const flags = program.commands.map((command) => `    ${command.name()}) words="${flagsOf(command).join(" ")}" ;;`).join("\n");
  const bash = `# drover completion: source <(drover completion bash)
_drover() {
  local word=\${COMP_WORDS[COMP_CWORD]} words=""
  if [ "$COMP_CWORD" -le 1 ]; then COMPREPLY=($(compgen -W "${commands.join(" ")}" -- "$word")); return; fi
  case "\${COMP_WORDS[1]}" in
${flags}
  esac
  if [[ "$word" == -* ]]; then COMPREPLY=($(compgen -W "$words" -- "$word"))
  elif [[ " status logs events stop resume scale pause " == *" \${COMP_WORDS[1]} "* ]]; then
    local home=\${DROVER_HOME:-\${XDG_STATE_HOME:-$HOME/.local/state}/drover}
    COMPREPLY=($(compgen -W "$(ls "$home/jobs" 2>/dev/null)" -- "$word"))
  else COMPREPLY=($(compgen -f -- "$word")); fi
}
complete -o filenames -F _drover drover
`;
  if (shell === "bash") return bash;
  if (shell === "zsh") return `#compdef drover\nautoload -U +X bashcompinit && bashcompinit\n${bash}`;
  throw new BoundaryError("USAGE", `there is no completion for ${shell}`, { value: shell, allowed: "bash or zsh", hint: "drover completion bash" });
}

function flagsOf(command: Command): string[] {
  return command.options.filter((option) => !option.hidden).flatMap((option) => [option.long, option.short].filter((flag) => typeof flag === "string"));
}
