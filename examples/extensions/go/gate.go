package main

import (
	"context"
	"fmt"
	"os"

	pb "example.com/autodev/extensions/gen/autodev/extension/v1"
)

// deployGate lets nobody deploy while a freeze is on.
type deployGate struct {
	pb.UnimplementedCapabilityGateServiceServer
	freeze string
}

func (gate *deployGate) CheckGate(_ context.Context, request *pb.CheckGateRequest) (*pb.CheckGateResponse, error) {
	if _, err := os.Stat(gate.freeze); err == nil {
		why := fmt.Sprintf("a freeze is on, %s may not deploy", request.GetAgentId())
		return &pb.CheckGateResponse{Reason: why}, nil
	}
	return &pb.CheckGateResponse{Allowed: true}, nil
}
