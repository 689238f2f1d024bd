// Streams a completion and prints its tokens as they come; ../README.md says how to run it.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strconv"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/status"
	pb "spearfish/v1"
)

type delta struct {
	TokenIDs []uint32 `json:"token_ids"`
	Text     string   `json:"text"`
}

type finish struct {
	Reason           string `json:"finish_reason"`
	CompletionTokens uint32 `json:"completion_tokens"`
}

func request(prompt string, maxTokens uint32) *pb.GenerateStreamRequest {
	greedy := float32(0)
	return &pb.GenerateStreamRequest{
		Prompt:   &pb.GenerateStreamRequest_Text{Text: prompt},
		Sampling: &pb.Sampling{Temperature: &greedy},
		Stopping: &pb.Stopping{MaxTokens: &maxTokens},
	}
}

func stream(endpoint, prompt string, maxTokens uint32) error {
	connection, err := grpc.Dial(endpoint, grpc.WithInsecure())
	if err != nil {
		return err
	}
	defer connection.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	messages, err := pb.NewInferenceServiceClient(connection).GenerateStream(
		ctx, request(prompt, maxTokens))
	if err != nil {
		return err
	}
	lines := json.NewEncoder(os.Stdout)
	for {
		message, err := messages.Recv()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		if part := message.GetDelta(); part != nil {
			err = lines.Encode(delta{part.GetTokenIds(), part.GetText()})
		} else if end := message.GetFinish(); end != nil {
			err = lines.Encode(
				finish{end.GetFinishReason().String(), end.GetUsage().GetCompletionTokens()})
		}
		if err != nil {
			return err
		}
	}
}

func main() {
	if len(os.Args) != 4 {
		fmt.Fprintln(os.Stderr, "usage: stream HOST:PORT PROMPT MAX_TOKENS")
		os.Exit(2)
	}
	maxTokens, err := strconv.ParseUint(os.Args[3], 10, 32)
	if err == nil {
		err = stream(os.Args[1], os.Args[2], uint32(maxTokens))
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "%v: %s\n", status.Code(err), status.Convert(err).Message())
		os.Exit(1)
	}
}
