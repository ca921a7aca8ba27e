package leg

import (
	"bytes"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"strings"

	"github.com/emiago/sipgo/sip"

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
	disposition, _ := sipua.Header(msg, "content-disposition")
	sdp, err := search(value, disposition, body, maxNesting)
	if err != nil {
		return nil, err
	}
	return sdp, nil
}

// describes reports whether a message carries SDP.
func describes(msg sip.Message) bool {
	body, err := description(msg)
	return err == nil && body != nil
}

// Bounds of multipart bodies; nobody who means well comes near them.
const (
	maxNesting = 4
	maxParts   = 32
)

// search finds the SDP in a body, or in a part of one; nil if there is none and
// nothing was in it that has to be understood (RFC 5621 4).
func search(contentType, disposition string, body []byte, depth int) ([]byte, error) {
	kind, params, err := mime.ParseMediaType(contentType)
	switch {
	case err != nil:
		return nil, fmt.Errorf("%w: %s", errBody, contentType)
	case kind == "application/sdp":
		return body, nil
	case strings.HasPrefix(kind, "multipart/") && depth > 0:
		return searchParts(kind, params, body, depth-1)
	case optional(disposition):
		return nil, nil
	}
	return nil, fmt.Errorf("%w: %s", errBody, kind)
}

// searchParts does so in each part of a multipart body: of alternatives any one
// will do (RFC 5621 5), related parts hang on the first (RFC 5621 6), and of mixed
// ones each that is not optional has to be understood. A part that says nothing
// about itself is let pass where there is SDP beside it: RFC 3261 20.11 would have
// it count as required, and phones attach what they like.
func searchParts(kind string, params map[string]string, body []byte, depth int) ([]byte, error) {
	if params["boundary"] == "" {
		return nil, fmt.Errorf("%w: multipart without boundary", errBody)
	}
	parts := multipart.NewReader(bytes.NewReader(body), params["boundary"])
	var found []byte
	var fault, silent error
	for n := 0; ; n++ {
		part, err := parts.NextRawPart()
		switch {
		case err == io.EOF && n == 0:
			return nil, fmt.Errorf("%w: multipart without parts", errBody)
		case err == io.EOF && fault == nil && found == nil && silent != nil:
			return nil, silent
		case err == io.EOF && (fault == nil || kind == "multipart/alternative" && found != nil):
			return found, nil
		case err == io.EOF:
			return nil, fault
		case err != nil:
			return nil, fmt.Errorf("%w: %w", errBody, err)
		case n == maxParts:
			return nil, fmt.Errorf("%w: more than %d parts", errBody, maxParts)
		}
		content, err := io.ReadAll(io.LimitReader(part, maxPart))
		if err != nil {
			return nil, fmt.Errorf("%w: %w", errBody, err)
		}
		contentType, disposition := part.Header.Get("Content-Type"), part.Header.Get("Content-Disposition")
		if contentType == "" {
			contentType = "text/plain" // RFC 2046 5.1
		}
		sdp, err := search(contentType, disposition, content, depth)
		switch {
		case sdp != nil && found == nil:
			found = sdp
		case err != nil && disposition == "":
			silent = err
		case err != nil && fault == nil:
			fault = err
		}
		if kind == "multipart/related" && n == 0 {
			return found, err
		}
	}
}

// maxPart bounds what is read of a part; SDP is refused beyond sdp.MaxBody.
const maxPart = 64 << 10

// optional reports whether a body need not be understood: handling=optional
// (RFC 3261 20.11, RFC 5621 4).
func optional(disposition string) bool {
	_, params, err := mime.ParseMediaType(disposition)
	return err == nil && strings.EqualFold(params["handling"], "optional")
}

// setSDP gives a message a description.
func setSDP(msg sip.Message, body []byte) {
	msg.AppendHeader(sip.NewHeader("Content-Type", "application/sdp"))
	msg.SetBody(body)
}
