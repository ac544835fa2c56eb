// A client with a limit of its own.
package main

import (
	"fmt"
	"net"
	"time"
)

func main() {
	_, err := net.DialTimeout("tcp", "server:6101", 3500*time.Millisecond)
	fmt.Println(err)
}
