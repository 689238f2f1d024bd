"""The wire that routers speak to vLLM engines, as a table, and message classes made from it.

Written apart from the project's own proto, so that a wrong number or type in either shows.
"""

import importlib
import pathlib
import re
import subprocess
import sys
import tempfile

PACKAGE = "vllm.grpc.engine"
SERVICE = "/vllm.grpc.engine.VllmEngine/"

# message | number name type; `?` optional, `[]` repeated, `name {a, b}` a oneof.
MESSAGES = """
TokenizedInput | 1 original_text string; 2 input_ids u32[]
ChoiceConstraint | 1 choices string[]
SamplingParams | 1 temperature float?; 2 top_p float; 3 top_k u32; 4 min_p float;
    5 frequency_penalty float; 6 presence_penalty float; 7 repetition_penalty float;
    8 max_tokens u32?; 9 min_tokens u32; 10 stop string[]; 11 stop_token_ids u32[];
    12 skip_special_tokens bool; 13 spaces_between_special_tokens bool; 14 ignore_eos bool;
    15 n u32; 22 logprobs i32?; 23 prompt_logprobs i32?; 24 seed i32?;
    25 include_stop_str_in_output bool; 26 logit_bias map<i32,float>;
    27 truncate_prompt_tokens i32?; constraint {16 json_schema string, 17 regex string,
    18 grammar string, 19 structural_tag string, 20 json_object bool, 21 choice ChoiceConstraint}
GenerateRequest | 1 request_id string; input {2 tokenized TokenizedInput, 3 text string};
    4 sampling_params SamplingParams; 5 stream bool; 9 data_parallel_rank i32?
TopLogProbs | 1 values float[]; 2 token_ids u32[]
OutputLogProbs | 1 token_logprobs float[]; 2 token_ids u32[]; 3 top_logprobs TopLogProbs[]
InputTokenLogProb | 1 value float?
InputLogProbs | 1 token_logprobs InputTokenLogProb[]; 2 token_ids u32[];
    3 top_logprobs TopLogProbs[]
GenerateStreamChunk | 1 token_ids u32[]; 2 prompt_tokens u32; 3 completion_tokens u32;
    4 cached_tokens u32; 5 output_logprobs OutputLogProbs; 6 input_logprobs InputLogProbs;
    7 index u32
GenerateComplete | 1 output_ids u32[]; 2 finish_reason string; 3 prompt_tokens u32;
    4 completion_tokens u32; 5 cached_tokens u32; 6 output_logprobs OutputLogProbs;
    7 input_logprobs InputLogProbs; 8 index u32;
    matched_stop {10 matched_token_id u32, 11 matched_stop_str string}
GenerateResponse | response {1 chunk GenerateStreamChunk, 2 complete GenerateComplete}
EmptyRequest |
HealthCheckResponse | 1 healthy bool; 2 message string
AbortRequest | 1 request_ids string[]
AbortResponse |
GetModelInfoResponse | 1 model_path string; 2 is_generation bool; 3 max_context_length u32;
    4 vocab_size u32; 5 supports_vision bool; 6 served_model_name string;
    7 tokenizer_path string; 8 model_type string; 9 architectures string[];
    10 eos_token_ids i32[]; 11 pad_token_id i32; 12 bos_token_id i32; 13 max_req_input_len i32;
    14 default_sampling_params_json string
GetServerInfoResponse | 1 active_requests u32; 2 is_paused bool;
    3 last_receive_timestamp double; 4 uptime_seconds double; 5 server_type string;
    9 data_parallel_size i32
GetLoadsRequest | 1 dp_rank i32?; 2 include string[]
SchedulerLoad | 1 dp_rank i32; 2 num_running_reqs i32; 3 num_waiting_reqs i32;
    4 num_total_reqs i32; 5 num_used_tokens i32; 6 max_total_num_tokens i32;
    7 token_usage double; 8 gen_throughput double; 9 cache_hit_rate double;
    10 utilization double; 11 max_running_requests i32
GetLoadsResponse | 1 timestamp string; 2 version string; 3 dp_rank_count i32;
    4 loads SchedulerLoad[]
"""

_SHORT = {"u32": "uint32", "i32": "int32"}


def _type(name):
    return re.sub(r"\b(u32|i32)\b", lambda found: _SHORT[found.group()], name)


def _field(text):
    number, name, kind = text.split(None, 2)
    label = {"?": "optional ", "[]": "repeated "}.get(re.search(r"(\?|\[\])?$", kind).group(), "")
    return f"{label}{_type(kind.rstrip('?[]'))} {name} = {number};"


def _member(text):
    oneof = re.fullmatch(r"(\w+) \{(.*)\}", text, re.S)
    if not oneof:
        return _field(text)
    fields = " ".join(_field(field.strip()) for field in oneof.group(2).split(","))
    return f"oneof {oneof.group(1)} {{ {fields} }}"


def _proto_text():
    lines = ['syntax = "proto3";', f"package {PACKAGE};"]
    for row in re.split(r"\n(?=\S)", MESSAGES.strip()):
        name, members = (" ".join(part.split()) for part in row.split("|", 1))
        body = " ".join(_member(member.strip()) for member in members.split(";") if member.strip())
        lines.append(f"message {name} {{ {body} }}")
    return "\n".join(lines) + "\n"


def load_messages():
    """The module that protoc makes of the table."""
    with tempfile.TemporaryDirectory(prefix="spearfish-wire-") as folder:
        pathlib.Path(folder, "wire_from_table.proto").write_text(_proto_text(), encoding="utf-8")
        subprocess.run(["protoc", f"--proto_path={folder}", f"--python_out={folder}",
                        "wire_from_table.proto"], check=True)
        sys.path.insert(0, folder)
        try:
            return importlib.import_module("wire_from_table_pb2")
        finally:
            sys.path.remove(folder)
