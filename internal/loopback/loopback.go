// Package loopback tells addresses that only this machine reaches.
package loopback

import "net"

// Is tells whether a host, without its port, is this machine alone. Names other than localhost may be anything.
func Is(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
