package main

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/structpb"

	pb "example.com/autodev/extensions/gen/autodev/extension/v1"
)

//go:embed runner.py
var runner string

const (
	mostAnswerBytes = 8 << 20
	// The contract's 32 levels of messages: a list, or an object, is two.
	mostLevels = 16
)

// sandbox runs code by bubblewrap: namespaces of its own, no network, none of the machine's files but Python's.
type sandbox struct {
	pb.UnimplementedSandboxBackendServiceServer
	python string
}

// what the runner reads
type task struct {
	Code        string            `json:"code"`
	EntryPoint  string            `json:"entry_point"`
	Inputs      map[string]any    `json:"inputs"`
	MemoryBytes int64             `json:"memory_bytes"`
	InputFiles  map[string][]byte `json:"input_files"`
	OutputFiles []string          `json:"output_files"`
}

// what the runner answers; the code beside it may have written anything
type said struct {
	Value any               `json:"value"`
	Error []string          `json:"error"`
	Files map[string][]byte `json:"files"`
}

func (box *sandbox) ExecuteRawPython(ctx context.Context, request *pb.ExecuteRawPythonRequest) (*pb.ExecuteRawPythonResponse, error) {
	// bubblewrap ends its code when the thread ends that started it.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	asked, err := json.Marshal(taskOf(request))
	if err != nil {
		return nil, status.Error(codes.InvalidArgument, err.Error())
	}
	answer, answerIn, err := os.Pipe()
	if err != nil {
		return nil, status.Error(codes.FailedPrecondition, err.Error())
	}
	defer answer.Close()
	limited, cancel := context.WithTimeout(ctx, request.GetTimeout().AsDuration())
	defer cancel()
	stdout := &bounded{most: request.GetOutputBytes(), over: cancel}
	stderr := &bounded{most: request.GetOutputBytes(), over: cancel}
	command := exec.CommandContext(limited, "bwrap", box.arguments()...)
	command.Stdin, command.Stdout, command.Stderr = bytes.NewReader(asked), stdout, stderr
	command.ExtraFiles = []*os.File{answerIn}
	command.WaitDelay = time.Second
	started := time.Now()
	if err := command.Start(); err != nil {
		answerIn.Close()
		return nil, status.Error(codes.FailedPrecondition, err.Error())
	}
	answerIn.Close()
	told, _ := io.ReadAll(io.LimitReader(answer, mostAnswerBytes))
	err = command.Wait()
	response := &pb.ExecuteRawPythonResponse{
		Status:   pb.RawStatus_RAW_STATUS_OK,
		Stdout:   stdout.data,
		Stderr:   stderr.data,
		Duration: durationpb.New(time.Since(started)),
	}
	switch {
	case stdout.isOver || stderr.isOver:
		response.Status = pb.RawStatus_RAW_STATUS_OUTPUT_LIMIT
	case errors.Is(limited.Err(), context.DeadlineExceeded):
		response.Status = pb.RawStatus_RAW_STATUS_TIMEOUT
	default:
		judge(response, told, command.ProcessState.ExitCode(), request.GetOutputFiles())
	}
	return response, nil
}

func judge(response *pb.ExecuteRawPythonResponse, told []byte, exitCode int, files []string) {
	var answer said
	if exitCode < 0 {
		response.Status = pb.RawStatus_RAW_STATUS_KILLED
		return
	}
	if json.Unmarshal(told, &answer) != nil {
		response.Status, response.ExitCode = pb.RawStatus_RAW_STATUS_ERROR, int32(max(1, exitCode))
		return
	}
	for _, path := range files {
		if content, found := answer.Files[path]; found {
			response.OutputFiles = append(response.OutputFiles, &pb.RawFile{Path: path, Content: content})
		}
	}
	if len(answer.Error) == 3 {
		response.Status, response.ExitCode = pb.RawStatus_RAW_STATUS_ERROR, 1
		response.ErrorType, response.ErrorMessage, response.ErrorTraceback = answer.Error[0], answer.Error[1], answer.Error[2]
		return
	}
	value, err := structpb.NewValue(answer.Value)
	if err != nil || isDeeper(answer.Value, mostLevels) {
		response.Status, response.ExitCode = pb.RawStatus_RAW_STATUS_ERROR, 1
		return
	}
	response.Result, response.ExitCode = value, int32(exitCode)
}

// isDeeper says whether lists and objects are in each other deeper than that: nobody could read the answer.
func isDeeper(value any, levels int) bool {
	switch each := value.(type) {
	case []any:
		for _, item := range each {
			if isDeeper(item, levels-1) {
				return true
			}
		}
	case map[string]any:
		for _, item := range each {
			if isDeeper(item, levels-1) {
				return true
			}
		}
	default:
		return false
	}
	return levels < 1
}

func (box *sandbox) arguments() []string {
	arguments := []string{"--unshare-all", "--die-with-parent", "--new-session", "--cap-drop", "ALL", "--clearenv",
		"--ro-bind", "/usr", "/usr", "--ro-bind", box.python, box.python}
	for _, name := range []string{"lib", "lib64", "bin"} {
		if info, err := os.Lstat("/" + name); err == nil && info.Mode()&os.ModeSymlink != 0 {
			arguments = append(arguments, "--symlink", "usr/"+name, "/"+name)
		}
	}
	return append(arguments, "--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp", "--chdir", "/tmp",
		filepath.Join(box.python, "bin", "python3"), "-I", "-S", "-c", runner, "3")
}

func taskOf(request *pb.ExecuteRawPythonRequest) task {
	files := map[string][]byte{}
	for _, file := range request.GetInputFiles() {
		files[file.GetPath()] = file.GetContent()
	}
	outputs := request.GetOutputFiles()
	if outputs == nil {
		outputs = []string{}
	}
	return task{request.GetCode(), request.GetEntryPoint(), request.GetInputs().AsMap(), request.GetMemoryBytes(), files, outputs}
}

// bounded keeps what is written up to so many bytes, and says when there is more.
type bounded struct {
	data   []byte
	most   int64
	isOver bool
	over   func()
}

func (kept *bounded) Write(data []byte) (int, error) {
	if room := kept.most - int64(len(kept.data)); int64(len(data)) > room {
		kept.data = append(kept.data, data[:room]...)
		kept.isOver = true
		kept.over()
		return len(data), nil
	}
	kept.data = append(kept.data, data...)
	return len(data), nil
}
