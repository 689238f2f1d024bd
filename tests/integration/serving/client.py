"""A client written from the published protos alone: messages by protoc, calls by path."""

import grpc
from spearfish.v1 import control_pb2, inference_pb2


class Client:
    def __init__(self, endpoint):
        self.channel = grpc.insecure_channel(
            endpoint, options=[("grpc.max_receive_message_length", -1)])

    def close(self):
        self.channel.close()

    def _unary(self, path, request, response_type, timeout=60):
        call = self.channel.unary_unary(path, request_serializer=type(request).SerializeToString,
                                        response_deserializer=response_type.FromString)
        return call(request, timeout=timeout)

    def stream(self, request, timeout=120):
        """The call: iterate over it for messages, cancel() it, ask code() and details()."""
        call = self.channel.unary_stream(
            "/spearfish.v1.InferenceService/GenerateStream",
            request_serializer=inference_pb2.GenerateStreamRequest.SerializeToString,
            response_deserializer=inference_pb2.GenerateStreamResponse.FromString)
        return call(request, timeout=timeout)

    def generate(self, request, timeout=120):
        return self._unary("/spearfish.v1.InferenceService/Generate", request,
                           inference_pb2.GenerateResponse, timeout)

    def tokenize(self, text):
        return self._unary("/spearfish.v1.InferenceService/Tokenize",
                           inference_pb2.TokenizeRequest(text=text),
                           inference_pb2.TokenizeResponse)

    def detokenize(self, ids):
        return self._unary("/spearfish.v1.InferenceService/Detokenize",
                           inference_pb2.DetokenizeRequest(token_ids=ids),
                           inference_pb2.DetokenizeResponse)

    def control(self, method, request=None):
        request = request or getattr(control_pb2, method + "Request")()
        return self._unary(f"/spearfish.v1.ControlService/{method}", request,
                           getattr(control_pb2, method + "Response"))

    def unknown_method(self):
        return self._unary("/spearfish.v1.InferenceService/NoSuchMethod",
                           inference_pb2.TokenizeRequest(), inference_pb2.TokenizeResponse)


def stream_request(prompt, max_tokens, **options):
    """Token ids or text; keyword arguments set sampling fields; logprobs goes to output."""
    request = inference_pb2.GenerateStreamRequest()
    fill(request, prompt, max_tokens, options)
    return request


def unary_request(prompt, max_tokens, **options):
    request = inference_pb2.GenerateRequest()
    fill(request, prompt, max_tokens, options)
    return request


def fill(request, prompt, max_tokens, options):
    if isinstance(prompt, str):
        request.text = prompt
    else:
        request.token_ids.ids.extend(prompt)
    if max_tokens is not None:
        request.stopping.max_tokens = max_tokens
    for name, value in options.items():
        if name in ("logprobs", "prompt_logprobs"):
            setattr(request.output, name, value)
        elif name == "ignore_eos":
            request.stopping.ignore_eos = value
        elif name == "stop_strings":
            request.stopping.stop_strings.extend(value)
        elif name == "request_id":
            request.request_id = value
        else:
            setattr(request.sampling, name, value)


class Result:
    """A whole stream, put together."""

    def __init__(self, messages):
        self.tokens, self.text, self.logprobs, self.finish, self.info = [], "", [], None, None
        for message in messages:
            kind = message.WhichOneof("event")
            if kind == "prompt_info":
                self.info = message.prompt_info
            elif kind == "delta":
                self.tokens.extend(message.delta.token_ids)
                self.text += message.delta.text
                self.logprobs.extend(p.chosen.logprob for p in message.delta.logprobs)
            else:
                self.finish = message.finish
