"""A router's side of VllmEngine: messages from the table, calls by path."""

import grpc
from wire_table import SERVICE, load_messages

wire = load_messages()
_RESPONSES = {"HealthCheck": wire.HealthCheckResponse, "Abort": wire.AbortResponse,
              "GetModelInfo": wire.GetModelInfoResponse,
              "GetServerInfo": wire.GetServerInfoResponse, "GetLoads": wire.GetLoadsResponse}


class EngineClient:
    def __init__(self, endpoint):
        self.channel = grpc.insecure_channel(
            endpoint, options=[("grpc.max_receive_message_length", -1)])

    def close(self):
        self.channel.close()

    def generate(self, request, timeout=120):
        """The call: iterate over it for messages, cancel() it, ask code() and details()."""
        return self.channel.unary_stream(
            SERVICE + "Generate", request_serializer=wire.GenerateRequest.SerializeToString,
            response_deserializer=wire.GenerateResponse.FromString)(request, timeout=timeout)

    def generate_raw(self, encoded, timeout=120):
        """Bytes in, a list of bytes out."""
        return list(self.channel.unary_stream(SERVICE + "Generate")(encoded, timeout=timeout))

    def ask(self, method, request=None, timeout=60):
        return self.channel.unary_unary(
            SERVICE + method, request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=_RESPONSES[method].FromString)(
                request or wire.EmptyRequest(), timeout=timeout)

    def probe(self, path, timeout=60):
        """The status code of an empty unary call."""
        try:
            self.channel.unary_unary(path)(b"", timeout=timeout)
            return grpc.StatusCode.OK
        except grpc.RpcError as error:
            return error.code()


def generate_request(prompt, max_tokens=None, stream=True, request_id="", **params):
    """Token ids or text; keyword arguments are fields of SamplingParams."""
    request = wire.GenerateRequest(stream=stream, request_id=request_id)
    if isinstance(prompt, str):
        request.text = prompt
    else:
        request.tokenized.input_ids.extend(prompt)
    if max_tokens is not None:
        request.sampling_params.max_tokens = max_tokens
    for name, value in params.items():
        field = getattr(request.sampling_params, name)
        if isinstance(value, list):
            field.extend(value)
        elif isinstance(value, dict):
            field.update(value)
        else:
            setattr(request.sampling_params, name, value)
    return request


class Output:
    """One sequence of an answer, put together as a router does."""

    def __init__(self):
        self.tokens, self.logprobs, self.chunks, self.complete = [], [], [], None


def outputs(responses):
    """By index. Chunks add up; a Complete's tokens count only where no chunk came before."""
    found = {}
    for response in responses:
        part = getattr(response, response.WhichOneof("response"))
        output = found.setdefault(part.index, Output())
        assert output.complete is None, "a message after the Complete"
        if response.HasField("chunk"):
            assert part.completion_tokens == len(part.token_ids)
            output.tokens.extend(part.token_ids)
            output.logprobs.extend(part.output_logprobs.token_logprobs)
            output.chunks.append(part)
            continue
        output.complete = part
        assert part.completion_tokens == len(part.output_ids)
        if not output.chunks:
            output.tokens.extend(part.output_ids)
            output.logprobs.extend(part.output_logprobs.token_logprobs)
    return found
