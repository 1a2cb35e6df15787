package checkpoint

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
)

// hfInert lists the keys of transformers' configurations that do not affect an image's features: they concern
// training, text, or the use of outputs.
var hfInert = strings.Fields("_name_or_path name_or_path _commit_hash _attn_implementation _attn_implementation_autoset " +
	"attention_probs_dropout_prob attention_dropout hidden_dropout_prob dropout drop_path_rate layerscale_value chunk_size_feed_forward " +
	"dtype torch_dtype encoder_stride initializer_range initializer_factor is_encoder_decoder label2id output_attentions output_hidden_states " +
	"pooler_act pooler_output_size problem_type return_dict transformers_version decoder_hidden_size decoder_intermediate_size " +
	"decoder_num_attention_heads decoder_num_hidden_layers mask_ratio norm_pix_loss apply_layernorm reshape_hidden_states out_features " +
	"out_indices stage_names use_mask_token logit_scale_init_value text_config text_config_dict finetuning_task use_cache classifier_dropout " +
	"image_mean image_std model_type vision_config vision_config_dict torchscript use_bfloat16 tie_word_embeddings bos_token_id eos_token_id " +
	"pad_token_id sep_token_id add_cross_attention is_decoder cross_attention_hidden_size tie_encoder_decoder prune_heads pruned_heads " +
	"decoder_start_token_id prefix task_specific_params tokenizer_class max_length min_length do_sample early_stopping num_beams " +
	"num_beam_groups diversity_penalty temperature top_k top_p typical_p repetition_penalty length_penalty no_repeat_ngram_size " +
	"encoder_no_repeat_ngram_size bad_words_ids num_return_sequences output_scores return_dict_in_generate forced_bos_token_id " +
	"forced_eos_token_id remove_invalid_values exponential_decay_length_penalty suppress_tokens begin_suppress_tokens tf_legacy_loss " +
	"loss_type license license_name num_labels vocab_size max_position_embeddings type_vocab_size gradient_checkpointing")

// timmInert lists the keys of timm's config.json and pretrained_cfg that do not affect features.
var timmInert = strings.Fields("num_features pretrained_cfg labels label_descriptions pooled pool_type url file hf_hub_id hf_hub_filename source " +
	"architecture custom_load test_input_size min_input_size fixed_input_size test_crop_pct num_classes label_offset pool_size test_pool_size " +
	"first_conv classifier license description origin_url paper_name paper_ids notes tags state_dict")

// checkKeys returns an error that names the first key of a JSON object that is neither a field of one of the
// structs nor inert. Any key may have an empty value: null, false, "", [] or {}.
func checkKeys(text []byte, inert []string, structs ...any) error {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(text, &fields); err != nil {
		return jsonError(err)
	}
	known := map[string]bool{}
	for _, s := range structs {
		addKeys(known, reflect.TypeOf(s))
	}
	for _, key := range slices.Sorted(maps.Keys(fields)) {
		value := string(fields[key])
		switch {
		case known[key] || slices.Contains(inert, key):
		case value == "null" || value == "false" || value == `""` || value == "{}" || value == "[]":
		default:
			return fmt.Errorf("%.60q: %.60s is not supported", key, value)
		}
	}
	return nil
}

func addKeys(known map[string]bool, t reflect.Type) {
	for i := range t.NumField() {
		f := t.Field(i)
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		switch {
		case name != "" && name != "-":
			known[name] = true
		case f.Anonymous:
			addKeys(known, f.Type)
		}
	}
}
