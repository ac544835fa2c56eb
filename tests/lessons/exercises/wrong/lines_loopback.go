package main

import (
	"bufio"
	"bytes"
	"net"
	"os"
)

func main() {
	listener, err := net.Listen("tcp", "127.0.0.1:"+os.Args[1]) // HERE
	if err != nil {
		panic(err)
	}
	for {
		connection, err := listener.Accept()
		if err != nil {
			panic(err)
		}
		go func() {
			defer connection.Close()
			lines := bufio.NewScanner(connection)
			for lines.Scan() {
				connection.Write(append(bytes.ToUpper(lines.Bytes()), '\n'))
			}
		}()
	}
}
