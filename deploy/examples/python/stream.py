"""Streams a completion and prints its tokens as they come; ../README.md says how to run it.

usage: stream.py HOST:PORT PROMPT MAX_TOKENS
"""

import json
import sys

import grpc
from spearfish.v1 import inference_pb2, inference_pb2_grpc


def stream(endpoint, prompt, max_tokens):
    request = inference_pb2.GenerateStreamRequest(text=prompt)
    request.sampling.temperature = 0
    request.stopping.max_tokens = max_tokens
    with grpc.insecure_channel(endpoint) as channel:
        stub = inference_pb2_grpc.InferenceServiceStub(channel)
        for message in stub.GenerateStream(request, timeout=300):
            event = message.WhichOneof("event")
            if event == "delta":
                yield {"token_ids": list(message.delta.token_ids), "text": message.delta.text}
            elif event == "finish":
                reason = inference_pb2.FinishReason.Name(message.finish.finish_reason)
                yield {"finish_reason": reason,
                       "completion_tokens": message.finish.usage.completion_tokens}


def main():
    if len(sys.argv) != 4:
        sys.exit("usage: stream.py HOST:PORT PROMPT MAX_TOKENS")
    try:
        for line in stream(sys.argv[1], sys.argv[2], int(sys.argv[3])):
            print(json.dumps(line), flush=True)
    except grpc.RpcError as error:
        sys.exit(f"{error.code().name}: {error.details()}")


if __name__ == "__main__":
    main()
