"""OpenAI's Node client against a gateway and a worker; what it must get, gRPC says.

usage: openai_test.py BIN_FOLDER SOURCE_FOLDER NODE_FOLDER
"""

import json
import os
import pathlib
import subprocess
import sys
import tempfile

from client import Result, stream_request
from http_fleet import HttpFleet, model_with_template
from spearfish.v1 import inference_pb2

BIN, SOURCE, NODE = (pathlib.Path(argument).resolve() for argument in sys.argv[1:4])
PROMPT = "In the beginning"
# Shows tools, and opens the reasoning where thinking is on.
TEMPLATE = """{% if tools %}{{ tools | tojson }}
{% endif %}{% for m in messages %}<|im_start|>{{ m.role }}
{{ m.content }}<|im_end|>
{% endfor %}<|im_start|>assistant
{% if enable_thinking %}<think>
{% endif %}"""


def chat_request(max_tokens, **options):
    request = stream_request("", max_tokens, **options)
    message = request.chat.messages.add()
    message.role, message.content = "user", PROMPT
    return request


def whole(client, request):
    """By sequence: text, ids, log-probabilities of the chosen tokens, usage."""
    texts, logprobs, prompt_tokens, completion_tokens = {}, {}, 0, 0
    for message in client.stream(request):
        kind = message.WhichOneof("event")
        if kind == "prompt_info":
            prompt_tokens = message.prompt_info.num_prompt_tokens
        elif kind == "delta":
            index = message.delta.index
            texts[index] = texts.get(index, "") + message.delta.text
            logprobs.setdefault(index, []).extend(p.chosen.logprob
                                                  for p in message.delta.logprobs)
        else:
            completion_tokens += message.finish.usage.completion_tokens
    order = range(len(texts))
    return {"texts": [texts[i] for i in order], "logprobs": [logprobs[i] for i in order],
            "prompt_tokens": prompt_tokens, "completion_tokens": completion_tokens}


def expected(fleet):
    client = fleet.client
    greedy = whole(client, stream_request(PROMPT, 24, temperature=0, logprobs=2))
    return {
        "model": client.control("GetModelInfo").served_model_name,
        "prompt": PROMPT,
        "prompt_ids": list(client.tokenize(PROMPT).token_ids),
        "greedy": greedy,
        "stop": greedy["texts"][0][8:14],
        "sampled": whole(client, stream_request(PROMPT, 24, temperature=1.0, seed=7,
                                                num_sequences=2, top_p=0.9)),
        "biased": whole(client, biased_request()),
        "chat": whole(client, chat_request(24, temperature=0, logprobs=3)),
    }


def biased_request():
    request = stream_request(PROMPT, 8, temperature=0)
    request.sampling.logit_bias[100] = 100
    request.sampling.presence_penalty = 1
    return request


def main():
    with tempfile.TemporaryDirectory(prefix="spearfish-openai-") as folder:
        model = model_with_template(SOURCE / "tests/data/qwen3-moe-3m",
                                    pathlib.Path(folder, "tiny-moe"), TEMPLATE)
        fleet = HttpFleet(BIN, model)
        try:
            path = pathlib.Path(folder, "expected.json")
            path.write_text(json.dumps(expected(fleet)), encoding="utf-8")
            environment = dict(os.environ, SPEARFISH_HTTP=fleet.http, SPEARFISH_EXPECTED=str(path))
            run = subprocess.run(["node", "--test", "openai.test.mjs"], cwd=NODE, env=environment,
                                 timeout=600, check=False)
            fleet.await_idle()  # also what the client dropped
            if run.returncode != 0:
                print(fleet.read_log(), file=sys.stderr)
            return run.returncode
        finally:
            fleet.cleanup()


if __name__ == "__main__":
    sys.exit(main())
