package sdp

import "strings"

// crlf turns a readable description into one as it is on the wire.
func crlf(s string) []byte {
	s = strings.ReplaceAll(strings.TrimSpace(s), "\t", "")
	return []byte(strings.ReplaceAll(s, "\n", "\r\n") + "\r\n")
}

// phones are offers in the shapes that real user agents send.
var phones = map[string]string{
	"yealink": `
v=0
o=- 20083 20083 IN IP4 192.0.2.21
s=SDP data
c=IN IP4 192.0.2.21
t=0 0
m=audio 11798 RTP/AVP 9 0 8 18 101
a=rtpmap:9 G722/8000
a=rtpmap:0 PCMU/8000
a=rtpmap:8 PCMA/8000
a=rtpmap:18 G729/8000
a=fmtp:18 annexb=no
a=fmtp:101 0-15
a=rtpmap:101 telephone-event/8000
a=ptime:20
a=sendrecv`,
	"polycom": `
v=0
o=- 1290000000 1290000000 IN IP4 192.0.2.22
s=Polycom IP Phone
c=IN IP4 192.0.2.22
t=0 0
a=sendrecv
m=audio 2228 RTP/AVP 115 9 0 8 18 127
a=rtpmap:115 G7221/32000
a=fmtp:115 bitrate=48000
a=rtpmap:9 G722/8000
a=rtpmap:0 PCMU/8000
a=rtpmap:8 PCMA/8000
a=rtpmap:18 G729/8000
a=rtpmap:127 telephone-event/8000`,
	"cisco spa": `
v=0
o=- 8137 8137 IN IP4 192.0.2.23
s=-
c=IN IP4 192.0.2.23
t=0 0
m=audio 16462 RTP/AVP 0 2 8 9 18 96 97 98 101
a=rtpmap:0 PCMU/8000
a=rtpmap:2 G726-32/8000
a=rtpmap:8 PCMA/8000
a=rtpmap:9 G722/8000
a=rtpmap:18 G729a/8000
a=rtpmap:96 G726-40/8000
a=rtpmap:97 G726-24/8000
a=rtpmap:98 G726-16/8000
a=rtpmap:101 telephone-event/8000
a=fmtp:101 0-15
a=ptime:30
a=sendrecv`,
	"linphone": `
v=0
o=alice 2890 3456 IN IP4 192.0.2.24
s=Talk
c=IN IP4 192.0.2.24
t=0 0
a=rtcp-xr:rcvr-rtt=all:10000 stat-summary=loss,dup,jitt,TTL voip-metrics
a=record:off
m=audio 7078 RTP/AVPF 96 97 98 0 8 99 100
c=IN IP4 192.0.2.25
a=rtpmap:96 opus/48000/2
a=fmtp:96 useinbandfec=1
a=rtpmap:97 speex/16000
a=fmtp:97 vbr=on
a=rtpmap:98 speex/8000
a=fmtp:98 vbr=on
a=rtpmap:99 telephone-event/48000
a=rtpmap:100 telephone-event/8000
a=rtcp-fb:* trr-int 5000
a=rtcp-fb:* ccm tmmbr
m=video 9078 RTP/AVPF 96
a=rtpmap:96 VP8/90000`,
	"baresip": `
v=0
o=- 3917233290 3283011 IN IP4 127.0.0.1
s=-
c=IN IP4 127.0.0.1
t=0 0
a=tool:baresip 1.0.0
m=audio 16420 RTP/AVP 0 8 101
b=AS:125
a=rtpmap:0 PCMU/8000
a=rtpmap:8 PCMA/8000
a=rtpmap:101 telephone-event/8000
a=fmtp:101 0-15
a=rtcp:16421
a=sendrecv
a=label:1
a=rtcp-rsize
a=ssrc:2222222 cname:sip:b@127.0.0.1
a=ptime:20`,
	"sipp": `
v=0
o=user1 53655765 2353687637 IN IP4 127.0.0.1
s=-
c=IN IP4 127.0.0.1
t=0 0
m=audio 6000 RTP/AVP 0
a=rtpmap:0 PCMU/8000`,
	"fax and application": `
v=0
o=- 1 1 IN IP4 192.0.2.26
s=-
i=what it is
e=nobody@example.com
c=IN IP4 192.0.2.26
b=XY:7
t=3034423619 3042462419
k=clear:none
m=image 4000 udptl t38
a=T38FaxVersion:0
m=audio 4002 RTP/AVP 18 8
c=IN IP6 2001:db8::9
m=application 4004 TCP/TLS/BFCP *`,
}
