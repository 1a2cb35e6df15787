package host

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"mime/multipart"
	"strings"
	"testing"

	"google.golang.org/grpc/metadata"

	"melo.example/melo/serve/access"
	pb "melo.example/melo/serve/openinference"
	"melo.example/melo/serve/servetest"
)

// TestRemarksInEveryAnswer asks about an animation and a picture: what is said of the first stands in the answers of the form,
// of REST and of gRPC, as melo predict says it.
func TestRemarksInEveryAnswer(t *testing.T) {
	s := newSite(t)
	moving, still := servetest.Animation(t), servetest.PNG(t, 1, 20, 20)
	const remark = "frame 1 of 2 is taken"
	for _, adapters := range [][]string{{"view"}, {"view", "findings"}} {
		var body bytes.Buffer
		w := multipart.NewWriter(&body)
		for _, name := range adapters {
			w.WriteField("adapter", name)
		}
		for i, data := range [][]byte{moving, still} {
			part, err := w.CreateFormFile("image", fmt.Sprint(i))
			if err != nil {
				t.Fatal(err)
			}
			part.Write(data)
		}
		w.Close()
		if _, text := s.do(access.Viewer, "POST", "/v1/predict", &body, "Content-Type", w.FormDataContentType()); strings.Count(text, `"remarks":["`+remark+`"]`) != len(adapters) ||
			strings.Count(text, `"remarks"`) != len(adapters) || !strings.Contains(text, `"precision":"f32"`) {
			t.Errorf("form: %s", text)
		}
	}
	encode := base64.StdEncoding.EncodeToString
	for list, want := range map[string]string{
		fmt.Sprintf("%q,%q", encode(moving), encode(still)): `"remarks":"[[\"` + remark + `\"],[]]"`,
		fmt.Sprintf("%q", encode(still)):                    "",
		fmt.Sprintf("%q", encode(moving)):                   `"remarks":"[[\"` + remark + `\"]]"`,
	} {
		request := fmt.Sprintf(`{"inputs":[{"name":"image","datatype":"BYTES","shape":[%d],"data":[%s]}]}`, strings.Count(list, ",")+1, list)
		_, text := s.do(access.Viewer, "POST", "/v2/models/view/infer", strings.NewReader(request))
		if strings.Contains(text, "remarks") != (want != "") || !strings.Contains(text, want) || !strings.Contains(text, `"precision":"f32"`) {
			t.Errorf("REST: %s, expected %q", text, want)
		}
	}
	ctx := metadata.AppendToOutgoingContext(t.Context(), "authorization", "Bearer "+s.tokens[access.Viewer])
	answer, err := pb.NewGRPCInferenceServiceClient(s.dial()).ModelInfer(ctx, &pb.ModelInferRequest{ModelName: "view",
		Inputs: []*pb.ModelInferRequest_InferInputTensor{{Name: "image", Datatype: "BYTES", Shape: []int64{2},
			Contents: &pb.InferTensorContents{BytesContents: [][]byte{still, moving}}}}})
	if err != nil || answer.Parameters["remarks"].GetStringParam() != `[[],["`+remark+`"]]` || answer.Parameters["precision"].GetStringParam() != "f32" {
		t.Errorf("gRPC: %v, %v", answer, err)
	}
}
