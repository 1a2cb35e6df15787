package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"net/url"
	"strconv"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	pb "melo.example/melo/serve/openinference"
)

// answer is what a server said.
type answer struct {
	digest  string    // of the adapter, where the server tells
	numbers []float32 // probabilities, or logits of a prepared image
}

// failure is a request that was not answered; kind names the reason.
type failure struct{ kind string }

func (f failure) Error() string { return f.kind }

// target asks one server.
type target interface {
	ask(ctx context.Context, adapter string, p *picture) (answer, error)
	close()
}

func newTarget(o *options) (target, error) {
	if o.tensors && o.protocol == "form" {
		return nil, fmt.Errorf("-tensors: a form takes image files, use -protocol rest or grpc")
	}
	switch o.protocol {
	case "form", "rest":
		transport := &http.Transport{MaxIdleConnsPerHost: 1024, DisableCompression: true}
		h := &httpTarget{base: o.target, token: o.token, client: &http.Client{Transport: transport}}
		if o.protocol == "form" {
			return formTarget{h}, nil
		}
		return restTarget{h}, nil
	case "grpc":
		conn, err := grpc.NewClient(o.target, grpc.WithTransportCredentials(insecure.NewCredentials()))
		if err != nil {
			return nil, err
		}
		return &grpcTarget{conn, pb.NewGRPCInferenceServiceClient(conn), o.token}, nil
	}
	return nil, fmt.Errorf("-protocol %q: expected form, rest or grpc", o.protocol)
}

type httpTarget struct {
	base, token string
	client      *http.Client
}

func (h *httpTarget) close() { h.client.CloseIdleConnections() }

// post sends a request and returns the answer's body and header.
func (h *httpTarget) post(ctx context.Context, path string, header map[string]string, body []byte) ([]byte, http.Header, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, h.base+path, bytes.NewReader(body))
	if err != nil {
		return nil, nil, err
	}
	for k, v := range header {
		r.Header.Set(k, v)
	}
	if h.token != "" {
		r.Header.Set("Authorization", "Bearer "+h.token)
	}
	response, err := h.client.Do(r)
	if err != nil {
		return nil, nil, transportFailure(ctx, err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, nil, transportFailure(ctx, err)
	}
	if response.StatusCode != http.StatusOK {
		return nil, nil, failure{strconv.Itoa(response.StatusCode)}
	}
	return text, response.Header, nil
}

func transportFailure(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return failure{"timeout"}
	}
	return failure{"connection: " + err.Error()}
}

// formTarget sends forms to /v1/predict.
type formTarget struct{ *httpTarget }

func (t formTarget) ask(ctx context.Context, adapter string, p *picture) (answer, error) {
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	_ = w.WriteField("adapter", adapter) // into memory
	part, err := w.CreateFormFile("image", p.name)
	if err != nil {
		return answer{}, err
	}
	_, _ = part.Write(p.data)
	_ = w.Close()
	text, _, err := t.post(ctx, "/v1/predict", map[string]string{"Content-Type": w.FormDataContentType()}, b.Bytes())
	if err != nil {
		return answer{}, err
	}
	var doc struct {
		Results []struct {
			Adapter struct {
				Name   string `json:"name"`
				Digest string `json:"digest"`
			} `json:"adapter"`
			Probabilities []float32 `json:"probabilities"`
		} `json:"results"`
	}
	if err := json.Unmarshal(text, &doc); err != nil || len(doc.Results) != 1 || doc.Results[0].Adapter.Name != adapter {
		return answer{}, failure{"no answer in the document"}
	}
	return answer{doc.Results[0].Adapter.Digest, doc.Results[0].Probabilities}, nil
}

// restTarget sends images as binary tensors.
type restTarget struct{ *httpTarget }

func (t restTarget) ask(ctx context.Context, adapter string, p *picture) (answer, error) {
	head, body := p.rest()
	text, header, err := t.post(ctx, "/v2/models/"+url.PathEscape(adapter)+"/infer",
		map[string]string{"Inference-Header-Content-Length": strconv.Itoa(head), "Content-Type": "application/octet-stream"}, body)
	if err != nil {
		return answer{}, err
	}
	n, err := strconv.Atoi(header.Get("Inference-Header-Content-Length"))
	var doc struct {
		Model      string            `json:"model_name"`
		Parameters map[string]string `json:"parameters"`
	}
	if err != nil || n > len(text) || json.Unmarshal(text[:n], &doc) != nil || doc.Model != adapter {
		return answer{}, failure{"no answer in the document"}
	}
	return answer{doc.Parameters["digest"], floats(text[n:])}, nil
}

type grpcTarget struct {
	conn   *grpc.ClientConn
	client pb.GRPCInferenceServiceClient
	token  string
}

func (t *grpcTarget) close() { t.conn.Close() }

func (t *grpcTarget) ask(ctx context.Context, adapter string, p *picture) (answer, error) {
	if t.token != "" {
		ctx = metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+t.token)
	}
	r, err := t.client.ModelInfer(ctx, p.grpc(adapter))
	switch s := status.Convert(err); {
	case err == nil && r.ModelName == adapter && len(r.RawOutputContents) == 1:
		return answer{r.Parameters["digest"].GetStringParam(), floats(r.RawOutputContents[0])}, nil
	case err == nil:
		return answer{}, failure{"no answer in the message"}
	case s.Code() == codes.DeadlineExceeded:
		return answer{}, failure{"timeout"}
	default:
		return answer{}, failure{s.Code().String()}
	}
}
