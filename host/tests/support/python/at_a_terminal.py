"""Runs a program at a terminal and types answers: at_a_terminal.py ANSWERS PROGRAM ARGUMENT...

ANSWERS is a list of JSON: [QUESTION, ANSWER] each. What the terminal shows is printed. SIGTERM is passed on.
"""

import json
import os
import pty
import signal
import sys

answers = json.loads(sys.argv[1])
child, terminal = pty.fork()
if child == 0:
    os.execv(sys.argv[2], sys.argv[2:])
signal.signal(signal.SIGTERM, lambda *_: os.kill(child, signal.SIGTERM))

shown = ""
while True:
    try:
        part = os.read(terminal, 4096)
    except OSError:
        # The program has ended.
        break
    if not part:
        break
    sys.stdout.write(part.decode(errors="replace"))
    sys.stdout.flush()
    shown += part.decode(errors="replace")
    if answers and answers[0][0] in shown:
        question, answer = answers.pop(0)
        shown = shown.split(question, 1)[1]
        os.write(terminal, f"{answer}\n".encode())
_, status = os.waitpid(child, 0)
sys.exit(os.waitstatus_to_exitcode(status))
