// What the report takes from Apache ECharts: bars and lines, drawn as SVG. From it charts.min.js was made, in an empty folder:
//   npm install --save-exact echarts@6.1.0 esbuild@0.28.2
//   npx esbuild charts.mjs --bundle --minify --format=iife --global-name=echarts --legal-comments=none --target=es2019 \
//     --banner:js="/*! Apache ECharts 6.1.0 (Apache-2.0), zrender 6.1.0 (BSD-3-Clause), tslib 2.3.0 (0BSD), parts of d3 (BSD-3-Clause); see NOTICE */" \
//     --outfile=charts.min.js
import { init, use } from 'echarts/core';
import { BarChart, LineChart } from 'echarts/charts';
import { AriaComponent, GridComponent, LegendPlainComponent, TooltipComponent } from 'echarts/components';
import { SVGRenderer } from 'echarts/renderers';
use([AriaComponent, BarChart, GridComponent, LegendPlainComponent, LineChart, SVGRenderer, TooltipComponent]);
export { init };
