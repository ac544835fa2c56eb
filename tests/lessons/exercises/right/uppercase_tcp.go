package main

import (
	"bytes"
	"io"
	"net"
	"os"
)

func serve(connection net.Conn) {
	defer connection.Close()
	text, err := io.ReadAll(connection)
	if err != nil {
		return
	}
	for i, b := range text {
		if b >= 'a' && b <= 'z' {
			text[i] = b - 32
		}
	}
	io.Copy(connection, bytes.NewReader(text))
}

func main() {
	listener, err := net.Listen("tcp", ":"+os.Args[1])
	if err != nil {
		panic(err)
	}
	for {
		connection, err := listener.Accept()
		if err != nil {
			panic(err)
		}
		go serve(connection)
	}
}
