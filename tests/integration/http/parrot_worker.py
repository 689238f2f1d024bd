"""A worker without a model: its answer is what the last message of the chat says."""

from concurrent import futures

import grpc
from spearfish.v1 import control_pb2, inference_pb2

MODEL = "parrot"
PIECE = 3  # characters of a delta: tags come in parts


def answer(request, context):
    """The text in deltas; a prompt whose template would open the reasoning says so."""
    text = request.chat.messages[-1].content
    response = inference_pb2.GenerateStreamResponse
    yield response(prompt_info=inference_pb2.PromptInfo(
        request_id=request.request_id, num_prompt_tokens=1,
        begins_in_reasoning="</think>" in text and not text.startswith("<think>")))
    pieces = [text[i:i + PIECE] for i in range(0, len(text), PIECE)]
    for number, piece in enumerate(pieces):
        yield response(delta=inference_pb2.Delta(token_ids=[10 + number], text=piece))
    yield response(finish=inference_pb2.Finish(
        finish_reason=inference_pb2.FINISH_REASON_STOP, eos_token_id=2,
        usage=inference_pb2.Usage(prompt_tokens=1, completion_tokens=len(pieces))))


def loads(request, context):
    load = control_pb2.WorkerLoad(ready=True, max_running_sequences=8)
    return control_pb2.GetLoadsResponse(workers=[load])


def model_info(request, context):
    return control_pb2.GetModelInfoResponse(served_model_name=MODEL, max_model_len=1024)


def start():
    """(server, its address)."""
    def unary(behaviour, request):
        return grpc.unary_unary_rpc_method_handler(
            behaviour, request_deserializer=request.FromString,
            response_serializer=lambda message: message.SerializeToString())

    stream = grpc.unary_stream_rpc_method_handler(
        answer, request_deserializer=inference_pb2.GenerateStreamRequest.FromString,
        response_serializer=lambda message: message.SerializeToString())
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=8))
    server.add_generic_rpc_handlers((
        grpc.method_handlers_generic_handler(
            "spearfish.v1.InferenceService", {"GenerateStream": stream}),
        grpc.method_handlers_generic_handler("spearfish.v1.ControlService", {
            "GetLoads": unary(loads, control_pb2.GetLoadsRequest),
            "GetModelInfo": unary(model_info, control_pb2.GetModelInfoRequest)})))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    return server, f"127.0.0.1:{port}"
