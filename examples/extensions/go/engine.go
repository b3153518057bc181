package main

import (
	"context"
	"fmt"
	"strings"

	"google.golang.org/protobuf/types/known/structpb"

	pb "example.com/autodev/extensions/gen/autodev/extension/v1"
)

var pairs = [][2]string{{"% 2", "% 3"}, {"== 1", "== 0"}, {"<=", "<"}, {">=", ">"}, {"min(", "max("}, {"and", "or"}}

// swaps knows which words people mix up: it proposes the failing program with one swap, and the next when it was not it.
type swaps struct {
	pb.UnimplementedLearningEngineServiceServer
}

func (*swaps) AnalyzeEpisode(_ context.Context, request *pb.AnalyzeEpisodeRequest) (*pb.AnalyzeEpisodeResponse, error) {
	code := latest(request.GetProblem())
	found := []any{}
	for index, pair := range pairs {
		if strings.Contains(code, pair[0]) {
			found = append(found, index)
		}
	}
	findings, err := structpb.NewStruct(map[string]any{"swaps": found})
	return &pb.AnalyzeEpisodeResponse{Findings: findings}, err
}

func (*swaps) ProposeCodeChange(_ context.Context, request *pb.ProposeCodeChangeRequest) (*pb.ProposeCodeChangeResponse, error) {
	found := request.GetFindings().GetFields()["swaps"].GetListValue().GetValues()
	if len(request.GetAttempts()) >= len(found) {
		return &pb.ProposeCodeChangeResponse{Rationale: "no swap is left to try"}, nil
	}
	pair := pairs[int(found[len(request.GetAttempts())].GetNumberValue())]
	return &pb.ProposeCodeChangeResponse{
		Code:      strings.ReplaceAll(latest(request.GetProblem()), pair[0], pair[1]),
		Rationale: fmt.Sprintf("swap %q for %q", pair[0], pair[1]),
	}, nil
}

// ValidateChange refuses what imports: this engine never adds an import, so one that is there is not its own.
func (*swaps) ValidateChange(_ context.Context, request *pb.ValidateChangeRequest) (*pb.ValidateChangeResponse, error) {
	if strings.Contains(request.GetCode(), "import") {
		return &pb.ValidateChangeResponse{Reason: "it imports something"}, nil
	}
	return &pb.ValidateChangeResponse{Valid: true}, nil
}

func latest(problem *pb.LearningProblem) string {
	failures := problem.GetFailures()
	if len(failures) == 0 {
		return ""
	}
	return failures[len(failures)-1].GetCode()
}
