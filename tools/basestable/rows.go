package main

import "melo.example/melo/vit/arch"

// row is a kind of bases, as people know it.
type row struct {
	name    string
	typed   string   // what to type after --base
	golden  []string // folders of testdata/golden with the same parts and names
	size    string   // key of sizes
	licence string   // as the card says; empty: not known here
}

// rows are in the order of the table. Licences are those of the cards in 2025 and 2026, as far as they are known here.
var rows = []row{
	{"ViT (Google, timm)", "hf:timm/vit_base_patch16_224.augreg2_in21k_ft_in1k", []string{"timm_vit", "timm_vit_meanpool"}, "B/16 224", "Apache-2.0"},
	{"ViT (Google, transformers)", "hf:google/vit-base-patch16-224", []string{"hf_vit", "hf_vit_pooler"}, "B/16 224", "Apache-2.0"},
	{"DeiT, distilled", "hf:facebook/deit-base-distilled-patch16-224", []string{"deit", "deit_teacher", "timm_deit_distilled"}, "B/16 224", "Apache-2.0"},
	{"DINO", "hf:facebook/dino-vitb16", []string{"dino"}, "B/16 224", "Apache-2.0"},
	{"MAE", "hf:facebook/vit-mae-base", []string{"mae"}, "B/16 224", "Apache-2.0"},
	{"DINOv2 base", "hf:facebook/dinov2-base", []string{"dinov2", "dinov2_head", "timm_dinov2"}, "B/14 224", "Apache-2.0"},
	{"DINOv2 giant", "hf:facebook/dinov2-giant", []string{"dinov2", "timm_dinov2_reg"}, "g/14 224", "Apache-2.0"},
	{"DINOv2 with registers", "hf:facebook/dinov2-with-registers-large", []string{"dinov2_reg", "timm_dinov2_reg"}, "L/14 224", "Apache-2.0"},
	{"DINOv3", "hf:facebook/dinov3-vitb16-pretrain-lvd1689m", []string{"dinov3", "dinov3_gated", "timm_dinov3", "timm_dinov3_plus"}, "DINOv3 B/16 224", "DINOv3 License; gated"},
	{"CLIP", "hf:openai/clip-vit-base-patch16", []string{"clip_vision", "clip_vision_bare", "timm_clip"}, "B/16 224", ""},
	{"SigLIP, SigLIP 2", "hf:google/siglip2-base-patch16-224", []string{"siglip", "siglip_class", "timm_siglip"}, "SigLIP B/16 224", "Apache-2.0"},
	{"MedSigLIP", "hf:google/medsiglip-448", []string{"siglip"}, "SigLIP So/14 448", "Health AI Developer Foundations; gated"},
	{"EVA-02", "hf:timm/eva02_base_patch14_448.mim_in22k_ft_in22k_in1k", []string{"timm_eva02_base", "timm_eva02_small"}, "EVA-02 B/14 448", "MIT"},
	{"EVA-X", "eva_x_base_patch16_merged520k_mim.pt", []string{"timm_eva02_base", "timm_eva02_small"}, "EVA-02 B/16 224", ""},
	{"BEiT, BEiT v2", "hf:microsoft/beit-base-patch16-224", []string{"beit", "beit_shared", "timm_beit"}, "BEiT B/16 224", "Apache-2.0"},
	{"data2vec", "hf:facebook/data2vec-vision-base", []string{"data2vec"}, "BEiT B/16 224", "Apache-2.0"},
	{"UNI", "hf:MahmoodLab/UNI", []string{"timm_dinov2"}, "L/16 224", "CC-BY-NC-ND-4.0; gated"},
	{"UNI2-h", "hf:MahmoodLab/UNI2-h", []string{"timm_dinov2_reg"}, "UNI2-h 224", "CC-BY-NC-ND-4.0; gated"},
	{"Virchow", "hf:paige-ai/Virchow", []string{"timm_dinov2_reg"}, "H/14 SwiGLU 224", "Apache-2.0; gated"},
	{"Virchow2", "hf:paige-ai/Virchow2", []string{"timm_dinov2_reg"}, "H/14 SwiGLU 224", "CC-BY-NC-ND-4.0; gated"},
	{"H-optimus-0", "hf:bioptimus/H-optimus-0", []string{"timm_dinov2_reg"}, "g/14 224", "Apache-2.0; gated"},
	{"H0-mini", "hf:bioptimus/H0-mini", []string{"timm_dinov2_reg"}, "B/14 224", "CC-BY-NC-ND-4.0; gated"},
	{"Prov-GigaPath (tiles)", "hf:prov-gigapath/prov-gigapath", []string{"timm_dinov2_reg"}, "g/16 224", "Apache-2.0; gated"},
	{"Kaiko", "hf:1aurent/vit_base_patch16_224.kaiko_ai_towards_large_pathology_fms", []string{"timm_vit", "timm_dinov2"}, "B/16 224", ""},
	{"Lunit", "hf:1aurent/vit_small_patch16_224.lunit_dino", []string{"timm_vit"}, "S/16 224", ""},
	{"Phikon", "hf:owkin/phikon", []string{"hf_vit"}, "B/16 224", "Owkin's, not commercial"},
	{"Phikon-v2", "hf:owkin/phikon-v2", []string{"dinov2"}, "L/16 224", "Owkin's, not commercial"},
	{"RAD-DINO", "hf:microsoft/rad-dino", []string{"dinov2"}, "B/14 518", ""},
	{"BiomedCLIP", "hf:microsoft/BiomedCLIP-PubMedBERT_256-vit_base_patch16_224", []string{"timm_vit"}, "B/16 224", "MIT"},
	{"RETFound (MAE)", "hf:YukunZhou/RETFound_mae_natureCFP", []string{"timm_vit_meanpool", "mae"}, "L/16 224", "CC-BY-NC-4.0; gated"},
	{"I-JEPA", "hf:facebook/ijepa_vith14_1k", []string{"hf_vit"}, "H/14 224", "CC-BY-NC-4.0"},
}

// sizes are the networks that time and memory are measured with, with random weights.
var sizes = map[string]arch.Config{
	"S/16 224":         plain(384, 12, 6, 16, 224),
	"B/16 224":         plain(768, 12, 12, 16, 224),
	"B/14 224":         plain(768, 12, 12, 14, 224),
	"B/14 518":         plain(768, 12, 12, 14, 518),
	"L/16 224":         plain(1024, 24, 16, 16, 224),
	"L/14 224":         plain(1024, 24, 16, 14, 224),
	"H/14 224":         plain(1280, 32, 16, 14, 224),
	"H/14 SwiGLU 224":  gated(1280, 32, 16, 3416, 14, 224),
	"UNI2-h 224":       gated(1536, 24, 24, 4096, 14, 224),
	"g/14 224":         gated(1536, 40, 24, 4096, 14, 224),
	"g/16 224":         gated(1536, 40, 24, 4096, 16, 224),
	"SigLIP B/16 224":  attention(768, 12, 12, 3072, 16, 224),
	"SigLIP So/14 448": attention(1152, 27, 16, 4304, 14, 448),
	"DINOv3 B/16 224":  rotary(plain(768, 12, 12, 16, 224), arch.RotaryCentred),
	"EVA-02 B/14 448":  eva(gated(768, 12, 12, 2048, 14, 448)),
	"EVA-02 B/16 224":  eva(gated(768, 12, 12, 2048, 16, 224)),
	"BEiT B/16 224":    beit(plain(768, 12, 12, 16, 224)),
}

func plain(width, depth, heads, patch, image int) arch.Config {
	return arch.Config{Family: "vit", Source: "timm", Width: width, Depth: depth, Heads: heads, MLP: 4 * width, Image: image, Patch: patch, Channels: 3,
		Class: true, PosPrefix: true, FinalNorm: true, QKVBias: true, LayerScale: patch == 14, Act: arch.GELUErf, Eps: 1e-6}
}

func gated(width, depth, heads, mlp, patch, image int) arch.Config {
	c := plain(width, depth, heads, patch, image)
	c.MLP, c.SwiGLU, c.LayerScale, c.Registers, c.PosPrefix = mlp, true, true, 4, false
	return c
}

func attention(width, depth, heads, mlp, patch, image int) arch.Config {
	c := plain(width, depth, heads, patch, image)
	c.MLP, c.Class, c.PosPrefix, c.LayerScale, c.Act, c.Pooling = mlp, false, false, false, arch.GELUTanh, arch.PoolAttention
	return c
}

func rotary(c arch.Config, how arch.Rotary) arch.Config {
	c.NoPosEmbed, c.PosPrefix, c.Rotary, c.RotaryHalf, c.RotaryTheta, c.Registers, c.NoKeyBias, c.LayerScale = true, false, how, true, 100, 4, true, true
	return c
}

func eva(c arch.Config) arch.Config {
	c.Rotary, c.RotaryTheta, c.RotaryGrid, c.NoKeyBias, c.MLPNorm, c.LayerScale, c.Registers, c.PosPrefix = arch.RotaryIndex, 10000, 16, true, true, false, 0, true
	c.FinalNorm, c.PoolNorm, c.Pooling = false, true, arch.PoolMean
	return c
}

func beit(c arch.Config) arch.Config {
	c.NoPosEmbed, c.PosPrefix, c.RelBlocks, c.NoKeyBias, c.LayerScale, c.FinalNorm, c.PoolNorm, c.Pooling = true, false, true, true, true, false, true, arch.PoolMean
	return c
}
