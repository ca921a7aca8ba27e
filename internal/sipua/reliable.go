package sipua

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/emiago/sipgo/sip"
)

// Reliable says whether a provisional response is to be acknowledged by PRACK,
// and which number it has (RFC 3262 4, 7.1): one that lacks either the option
// tag or a usable RSeq is not, nor is 100, which is of the next hop only.
func Reliable(res *sip.Response) (rseq uint32, ok bool) {
	if res.StatusCode <= 100 || res.StatusCode >= 200 || !HasToken(res, "require", "100rel") {
		return 0, false
	}
	values := Headers(res, "rseq")
	if len(values) != 1 {
		return 0, false
	}
	digits := strings.TrimSpace(values[0])
	n, err := strconv.ParseUint(digits, 10, 32)
	if err != nil || n == 0 || digits[0] == '+' {
		return 0, false
	}
	return uint32(n), true
}

// RAck is the header by which PRACK names the response that it acknowledges
// (RFC 3262 7.2).
func RAck(rseq uint32, res *sip.Response) sip.Header {
	method := sip.INVITE
	if cseq := res.CSeq(); cseq != nil {
		method = cseq.MethodName
	}
	return sip.NewHeader("RAck", fmt.Sprintf("%d %d %s", rseq, CSeq(res), method))
}
