"""Runs inside the sandbox, as `python -c`: reads a request from stdin, and writes what came of it to a descriptor."""

import base64
import json
import os
import resource
import sys
import traceback
from typing import Any

request = json.load(sys.stdin)
answer = os.fdopen(int(sys.argv[1]), "w")
for path, data in request["input_files"].items():
    os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
    with open(path, "wb") as file:
        file.write(base64.b64decode(data))
resource.setrlimit(resource.RLIMIT_AS, (request["memory_bytes"],) * 2)
entry = request["entry_point"]
said: dict[str, Any] = {}
try:
    scope: dict[str, Any] = {"__name__": "task" if entry else "__main__"}
    exec(compile(request["code"], "task.py", "exec"), scope)
    said["value"] = scope[entry](**request["inputs"]) if entry else None
    json.dumps(said, allow_nan=False)
except BaseException as error:
    said = {"error": [type(error).__name__, str(error), traceback.format_exc()]}
files = said["files"] = {}
for path in request["output_files"]:
    if os.path.isfile(path):
        with open(path, "rb") as file:
            files[path] = base64.b64encode(file.read()).decode()
sys.stdout.flush()
json.dump(said, answer)
answer.flush()
