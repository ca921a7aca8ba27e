package leg

import (
	"bytes"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"strings"

	"github.com/emiago/sipgo/sip"

	"parkd/internal/sdp"
	"parkd/internal/sipua"
)

// description returns the SDP of a message, also from within a multipart body
// (RFC 5621); nil if the message has none.
func description(msg sip.Message) ([]byte, error) {
	body := msg.Body()
	if len(body) == 0 {
		return nil, nil
	}
	// RFC 3261 8.2.3: a body that cannot be decoded is refused, not misread.
	if coding, ok := sipua.Header(msg, "content-encoding"); ok && !strings.EqualFold(coding, "identity") {
		return nil, fmt.Errorf("%w: %s", errEncoding, coding)
	}
	value, ok := sipua.Header(msg, "content-type")
	if !ok {
		return body, nil // RFC 3261 20.15 demands the header; SDP is what it can be
	}
	kind, params, err := mime.ParseMediaType(value)
	switch {
	case err != nil:
		return nil, fmt.Errorf("%w: %s", errBody, value)
	case kind == "application/sdp":
		return body, nil
	case kind == "multipart/mixed" || kind == "multipart/alternative" || kind == "multipart/related":
		return descriptionWithin(body, params["boundary"])
	}
	return nil, fmt.Errorf("%w: %s", errBody, kind)
}

func descriptionWithin(body []byte, boundary string) ([]byte, error) {
	if boundary == "" {
		return nil, fmt.Errorf("%w: multipart without boundary", errBody)
	}
	parts := multipart.NewReader(bytes.NewReader(body), boundary)
	for {
		part, err := parts.NextRawPart()
		if err == io.EOF {
			return nil, fmt.Errorf("%w: multipart without SDP", errBody)
		}
		if err != nil {
			return nil, fmt.Errorf("%w: %w", errBody, err)
		}
		kind, _, err := mime.ParseMediaType(part.Header.Get("Content-Type"))
		if err != nil || kind != "application/sdp" {
			continue
		}
		return io.ReadAll(io.LimitReader(part, sdp.MaxBody+1))
	}
}

// setSDP gives a message a description.
func setSDP(msg sip.Message, body []byte) {
	msg.AppendHeader(sip.NewHeader("Content-Type", "application/sdp"))
	msg.SetBody(body)
}
