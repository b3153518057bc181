// Samples of Auto-Dev's five extension points in one gRPC server. What each is for: protos/autodev/extension/v1.
package main

import (
	"flag"
	"log"
	"net"
	"os"
	"os/signal"
	"syscall"

	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"

	pb "example.com/autodev/extensions/gen/autodev/extension/v1"
)

func main() {
	address := flag.String("address", "127.0.0.1:7001", "where to listen: loopback, since it speaks plain text")
	journal := flag.String("journal", "journal.txt", "the file that event handlers write to")
	freeze := flag.String("freeze", "freeze.txt", "nobody may deploy while this file is there")
	python := flag.String("python", "/usr", "the folder of the Python that the sandbox runs code with")
	flag.Parse()

	listener, err := net.Listen("tcp", *address)
	if err != nil {
		log.Fatal(err)
	}
	server := grpc.NewServer()
	pb.RegisterLearningEngineServiceServer(server, &swaps{})
	pb.RegisterFitnessFunctionServiceServer(server, &thrift{})
	pb.RegisterCapabilityGateServiceServer(server, &deployGate{freeze: *freeze})
	pb.RegisterEventHandlerServiceServer(server, &handlers{path: *journal})
	pb.RegisterSandboxBackendServiceServer(server, &sandbox{python: *python})
	grpc_health_v1.RegisterHealthServer(server, health.NewServer())

	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM, syscall.SIGINT)
	go func() {
		<-stop
		server.GracefulStop()
	}()
	if err := server.Serve(listener); err != nil {
		log.Fatal(err)
	}
}
