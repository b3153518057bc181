package main

import (
	"context"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	pb "example.com/autodev/extensions/gen/autodev/extension/v1"
)

// thrift prefers what costs less, among what works.
type thrift struct {
	pb.UnimplementedFitnessFunctionServiceServer
}

func (*thrift) ScoreRun(_ context.Context, request *pb.ScoreRunRequest) (*pb.ScoreRunResponse, error) {
	if request.GetSyntaxError() || !request.GetExecutionSuccess() {
		return &pb.ScoreRunResponse{}, nil
	}
	cost, stated := request.GetMeasurements().GetFields()["cost_usd"]
	if !stated {
		return nil, status.Error(codes.InvalidArgument, "measurements must have cost_usd")
	}
	return &pb.ScoreRunResponse{Score: 0.5 + 0.5/(1+cost.GetNumberValue())}, nil
}
