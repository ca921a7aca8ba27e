package srtp

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/sha1"
	"encoding/binary"
	"encoding/hex"
	"strings"
	"testing"
)

// The transforms once more, in as few lines as can be, from the text of the RFCs:
// each of the pieces is held by the RFC's own figures, and the packets of a Sender
// by the pieces.

func unhex(s string) []byte {
	b, err := hex.DecodeString(strings.Join(strings.Fields(s), ""))
	if err != nil {
		panic(err)
	}
	return b
}

// keystream is AES-CM (RFC 3711 4.1.1) from a counter's first value.
func keystream(key, iv []byte, n int) []byte {
	block, err := aes.NewCipher(key)
	if err != nil {
		panic(err)
	}
	out := make([]byte, n)
	cipher.NewCTR(block, iv).XORKeyStream(out, out)
	return out
}

// derive is the key derivation of RFC 3711 4.3 at a rate of 0; for AES-GCM the salt
// of 96 bits has zeros after it (RFC 7714 11).
func derive(master, salt []byte, label byte, n int) []byte {
	iv := make([]byte, 16)
	copy(iv, salt)
	iv[7] ^= label
	return keystream(master, iv, n)
}

// counter is the IV of AES-CM: salt, SSRC and index (RFC 3711 4.1.1).
func counter(salt []byte, ssrc uint32, index uint64) []byte {
	iv := make([]byte, 16)
	copy(iv, salt)
	for i, b := range binary.BigEndian.AppendUint32(nil, ssrc) {
		iv[4+i] ^= b
	}
	for i, b := range binary.BigEndian.AppendUint64(nil, index)[2:] {
		iv[8+i] ^= b
	}
	return iv
}

// nonce is the IV of AES-GCM (RFC 7714 8.1, 9.1).
func nonce(salt []byte, ssrc uint32, index uint64) []byte {
	iv := bytes.Clone(salt)
	for i, b := range binary.BigEndian.AppendUint32(nil, ssrc) {
		iv[2+i] ^= b
	}
	for i, b := range binary.BigEndian.AppendUint64(nil, index)[2:] {
		iv[6+i] ^= b
	}
	return iv
}

func seal(key, iv, plain, aad []byte) []byte {
	block, err := aes.NewCipher(key)
	if err != nil {
		panic(err)
	}
	gcm, err := cipher.NewGCM(block)
	if err != nil {
		panic(err)
	}
	return gcm.Seal(nil, iv, plain, aad)
}

func tag(key, data []byte, n int) []byte {
	h := hmac.New(sha1.New, key)
	h.Write(data)
	return h.Sum(nil)[:n]
}

func xor(a, b []byte) []byte {
	out := bytes.Clone(a)
	for i := range out {
		out[i] ^= b[i]
	}
	return out
}

// protectRTP is a packet with a header of 12 octets, protected.
func protectRTP(name string, key, b []byte, roll uint32) []byte {
	s := suites[name]
	master, salt := key[:s.key], key[s.key:]
	ssrc, index := binary.BigEndian.Uint32(b[8:]), uint64(roll)<<16|uint64(binary.BigEndian.Uint16(b[2:]))
	k, v := derive(master, salt, 0, s.key), derive(master, salt, 2, s.salt)
	if strings.HasPrefix(name, "AEAD") {
		return append(bytes.Clone(b[:12]), seal(k, nonce(v, ssrc, index), b[12:], b[:12])...)
	}
	out := append(bytes.Clone(b[:12]), xor(b[12:], keystream(k, counter(v, ssrc, index), len(b)-12))...)
	n := 10
	if strings.HasSuffix(name, "_32") {
		n = 4
	}
	return append(out, tag(derive(master, salt, 1, 20), binary.BigEndian.AppendUint32(bytes.Clone(out), roll), n)...)
}

// protectRTCP is a compound packet, protected: of both tags of AES-CM the long one
// (RFC 4568 6.2.2).
func protectRTCP(name string, key, b []byte, index uint32) []byte {
	s := suites[name]
	master, salt := key[:s.key], key[s.key:]
	ssrc, word := binary.BigEndian.Uint32(b[4:]), binary.BigEndian.AppendUint32(nil, index|1<<31)
	k, v := derive(master, salt, 3, s.key), derive(master, salt, 5, s.salt)
	if strings.HasPrefix(name, "AEAD") {
		sealed := seal(k, nonce(v, ssrc, uint64(index)), b[8:], append(bytes.Clone(b[:8]), word...))
		return append(append(bytes.Clone(b[:8]), sealed...), word...)
	}
	out := append(bytes.Clone(b[:8]), xor(b[8:], keystream(k, counter(v, ssrc, uint64(index)), len(b)-8))...)
	out = append(out, word...)
	return append(out, tag(derive(master, salt, 4, 20), out, 10)...)
}

// TestReference holds the pieces by the figures of the RFCs.
func TestReference(t *testing.T) {
	master, salt := unhex("E1F97A0D3E018BE0D64FA32C06DE4139"), unhex("0EC675AD498AFEEBB6960B3AABE6")
	gcmSalt := unhex("51756964 2070726f 2071756f")
	packet := unhex(`8040f17b 8041f8d3 5501a0b2 47616c6c 69612065 7374206f 6d6e6973 20646976
		69736120 696e2070 61727465 73207472 6573`)
	for _, tt := range []struct {
		name      string
		got, want []byte
	}{
		{"RFC 3711 B.2", keystream(unhex("2B7E151628AED2A6ABF7158809CF4F3C"), counter(unhex("F0F1F2F3F4F5F6F7F8F9FAFBFCFD"), 0, 0), 48),
			unhex("E03EAD0935C95E80E166B16DD92B4EB4 D23513162B02D0F72A43A2FE4A5F97AB 41E95B3BB0A2E8DD477901E4FCA894C0")},
		{"RFC 3711 B.3 key", derive(master, salt, 0, 16), unhex("C61E7A93744F39EE10734AFE3FF7A087")},
		{"RFC 3711 B.3 salt", derive(master, salt, 2, 14), unhex("30CBBC08863D8C85D49DB34A9AE1")},
		{"RFC 3711 B.3 auth", derive(master, salt, 1, 20), unhex("CEBE321F6FF7716B6FD4AB49AF256A156D38BAA4")},
		{"RFC 7714 16.1.1", seal(unhex("000102030405060708090a0b0c0d0e0f"), nonce(gcmSalt, 0x5501a0b2, 0xf17b), packet[12:], packet[:12]),
			unhex(`f24de3a3 fb34de6c acba861c 9d7e4bca be633bd5 0d294e6f 42a5f47a 51c7d19b 36de3adf
				8833899d 7f27beb1 6a9152cf 765ee439 0cce`)},
	} {
		if !bytes.Equal(tt.got, tt.want) {
			t.Errorf("%s: %x, want %x", tt.name, tt.got, tt.want)
		}
	}
}
