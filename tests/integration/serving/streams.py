"""Streams that must not change whatever becomes of the workers that serve them."""

import threading

import grpc
from client import Client, stream_request
from fleet import eventually

PROMPT = [17, 4, 250, 90, 33, 8, 121, 60]


def requests():
    """What differs in how a stream goes on: greedy, draws, penalties, text, stops, several."""
    length = 120
    text = stream_request("In the beginning", length, temperature=0.9, seed=11, ignore_eos=True)
    stops = stream_request("Once upon a time", length, temperature=1.0, seed=4, ignore_eos=True,
                           stop_strings=["zqx", "the the the the the"])
    several = stream_request(PROMPT, 60, temperature=1.0, seed=5, num_sequences=3,
                             ignore_eos=True)
    penalties = stream_request(PROMPT, length, temperature=1.0, seed=6, presence_penalty=1.0,
                               frequency_penalty=0.5, repetition_penalty=1.2, ignore_eos=True)
    penalties.stopping.min_tokens = 50
    return [stream_request(PROMPT, length, temperature=0, ignore_eos=True, logprobs=2), text, stops,
            several, penalties]


def whole(messages):
    """Everything of a stream that must not depend on who served it, by sequence."""
    tokens, texts, logprobs, ends, prompts = {}, {}, {}, {}, 0
    for message in messages:
        kind = message.WhichOneof("event")
        if kind == "prompt_info":
            prompts += 1
        elif kind == "delta":
            index = message.delta.index
            tokens.setdefault(index, []).extend(message.delta.token_ids)
            texts[index] = texts.get(index, "") + message.delta.text
            logprobs.setdefault(index, []).extend(
                p.chosen.logprob for p in message.delta.logprobs)
        else:
            end = message.finish
            assert end.index not in ends, "two Finish of one sequence"
            ends[end.index] = (end.finish_reason, end.WhichOneof("matched"),
                               end.usage.prompt_tokens, end.usage.completion_tokens)
    return prompts, tokens, texts, logprobs, ends


class Streams:
    """Threads that ask for the same requests again and again and compare with the reference."""

    def __init__(self, endpoint, reference, num_threads):
        self.reference = reference
        self.client = Client(endpoint)
        self.stopping = threading.Event()
        self.finished, self.problems = 0, []
        self.messages = [0] * num_threads
        self.lock = threading.Lock()
        self.threads = [threading.Thread(target=self._run, args=(i,)) for i in range(num_threads)]
        for thread in self.threads:
            thread.start()

    def _run(self, thread):
        number = thread
        while not self.stopping.is_set() and not self.problems:
            request, expected = self.reference[number % len(self.reference)]
            number += 1
            try:
                got = whole(self._counted(thread, self.client.stream(request, timeout=600)))
                problem = None if got == expected else f"differs: {got} from {expected}"
            except grpc.RpcError as error:
                problem = f"{error.code()}: {error.details()}"
            with self.lock:
                self.finished += 1
                if problem:
                    self.problems.append(problem)

    def _counted(self, thread, messages):
        for message in messages:
            self.messages[thread] += 1
            yield message

    def await_progress(self):
        """Every thread has got another message."""
        before = list(self.messages)
        eventually(lambda: self.problems or all(now > then for now, then
                                                in zip(self.messages, before)), "all go on")

    def stop(self):
        self.stopping.set()
        for thread in self.threads:
            thread.join()
        self.client.close()
