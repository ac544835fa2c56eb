// main serve PORT: an HTTP server for the files of the folder, until SIGTERM. main fetch PORT: asks for three of them.
package main

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/signal"
	"syscall"
)

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func serve(port string) {
	files := http.FileServer(http.Dir("."))
	server := &http.Server{
		Addr: "127.0.0.1:" + port,
		Handler: http.HandlerFunc(func(writer http.ResponseWriter, request *http.Request) {
			fmt.Println(request.Method, request.URL.Path)
			files.ServeHTTP(writer, request)
		}),
	}
	ended := make(chan struct{})
	go func() {
		signals := make(chan os.Signal, 1)
		signal.Notify(signals, syscall.SIGTERM)
		<-signals
		check(server.Shutdown(context.Background()))
		close(ended)
	}()
	if err := server.ListenAndServe(); err != http.ErrServerClosed {
		check(err)
	}
	<-ended
	fmt.Println("closed")
}

func fetch(port string) {
	for _, path := range []string{"/body.bin", "/small.txt", "/absent"} {
		response, err := http.Get("http://127.0.0.1:" + port + path)
		check(err)
		body, err := io.ReadAll(response.Body)
		check(err)
		check(response.Body.Close())
		fmt.Printf("%s %d %d %x\n", path, response.StatusCode, len(body), sha256.Sum256(body))
	}
}

func main() {
	if os.Args[1] == "serve" {
		serve(os.Args[2])
	} else {
		fetch(os.Args[2])
	}
}
