"""Write `completions/` anew from the program: `python tests/rewrite_completions.py`."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

FOLDER = Path(__file__).parent.parent / "completions"
FILES = {
    "asrcli.bash": "source_bash",
    "_asrcli": "source_zsh",
    "asrcli.fish": "source_fish",
    "asrcli.ps1": "source_pwsh",
}
# Typer's own script for zsh does nothing at the first TAB when zsh loads it from its fpath.
ZSH = """#compdef asrcli
_asrcli_completion() {
  eval $(env _TYPER_COMPLETE_ARGS="${words[1,$CURRENT]}" _ASRCLI_COMPLETE=complete_zsh asrcli)
}
if [[ $zsh_eval_context[-1] == loadautofunc ]]; then
  _asrcli_completion "$@"
else
  compdef _asrcli_completion asrcli
fi
"""


NAMED = """
import sys
from asrcli.__main__ import main
sys.argv[0] = "asrcli"
main()
"""


def generate(instruction: str) -> str:
    """The script that the program gives for a shell."""
    if instruction == "source_zsh":
        return ZSH
    answer = subprocess.run(
        [sys.executable, "-c", NAMED],
        env={**os.environ, "_ASRCLI_COMPLETE": instruction},
        capture_output=True,
        check=True,
        text=True,
    )
    return answer.stdout.strip() + "\n"


if __name__ == "__main__":
    for name, instruction in FILES.items():
        (FOLDER / name).write_text(generate(instruction), "utf-8", newline="\n")
