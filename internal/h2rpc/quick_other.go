//go:build !linux

package h2rpc

import "net"

// Quick returns the connection: what it spares is measured on Linux only.
func Quick(nc *net.TCPConn) (net.Conn, error) { return nc, nil }
