package main

import (
	"context"
	"fmt"
	"os"
	"sync"

	pb "example.com/autodev/extensions/gen/autodev/extension/v1"
)

// handlers keep a journal. The same event may come twice, so what reads it must not count its lines.
type handlers struct {
	pb.UnimplementedEventHandlerServiceServer
	path string
	lock sync.Mutex
}

func (journal *handlers) OnTaskFail(_ context.Context, request *pb.OnTaskFailRequest) (*pb.OnTaskFailResponse, error) {
	return &pb.OnTaskFailResponse{}, journal.note("failed", request.GetEvent().GetTaskFailed().GetEpisodeId())
}

func (journal *handlers) OnTaskSuccess(_ context.Context, request *pb.OnTaskSuccessRequest) (*pb.OnTaskSuccessResponse, error) {
	return &pb.OnTaskSuccessResponse{}, journal.note("succeeded", request.GetEvent().GetTaskSucceeded().GetEpisodeId())
}

func (journal *handlers) OnSkillExecution(_ context.Context, request *pb.OnSkillExecutionRequest) (*pb.OnSkillExecutionResponse, error) {
	return &pb.OnSkillExecutionResponse{}, journal.note("ran", request.GetEvent().GetSkillExecuted().GetSkillName())
}

func (journal *handlers) note(what string, of string) error {
	journal.lock.Lock()
	defer journal.lock.Unlock()
	file, err := os.OpenFile(journal.path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer file.Close()
	_, err = fmt.Fprintln(file, what, of)
	return err
}
